; Decorators and comments directly above a definition belong to it.
[(decorator) (comment)] @lead

(module . (comment)* . (expression_statement (string)) @file)

(function_definition name: (identifier) @name body: (block) @body) @function
(class_definition name: (identifier) @name body: (block) @body) @class
