(comment) @lead
(variable_declaration) @wrap

(function_declaration name: [(identifier) (dot_index_expression)] @name) @function
(function_declaration name: (method_index_expression) @name) @method
(assignment_statement
  (variable_list . name: (_) @name .)
  (expression_list . value: (function_definition) .)) @function
(field name: (_) @name value: (function_definition)) @function

; Tables lend their name to the functions in them.
(assignment_statement
  (variable_list . name: (_) @name .)
  (expression_list . value: (table_constructor) .)) @namespace
