[(comment) (haddock) (pragma)] @lead
(header) @file

; A type signature and all equations of one name are one function.
(declarations (signature name: (variable) @name) @function @header)
(declarations (signature name: (prefix_id (_) @name)) @function @header)
(declarations (signature names: (binding_list . name: (variable) @name)) @function @header)
(instance_declarations (signature name: (variable) @name) @function @header)
(function name: (variable) @name match: (_) @body) @function
(function name: (prefix_id (_) @name) match: (_) @body) @function
(function (infix operator: (operator) @name) match: (_) @body) @function
(function (infix operator: (infix_id (_) @name)) match: (_) @body) @function
(declarations (bind name: (variable) @name match: (_) @body) @function)
(declarations (bind name: (prefix_id (_) @name) match: (_) @body) @function)
(instance_declarations (bind name: (variable) @name match: (_) @body) @function)
(instance_declarations (bind name: (prefix_id (_) @name) match: (_) @body) @function)
(class_declarations (bind name: (variable) @name match: (_) @body) @function)

(declarations (data_type name: (_) @name) @class)
(declarations (newtype name: (_) @name) @class)
(declarations (class name: (_) @name declarations: (_) @body) @class)
(declarations (class name: (_) @name) @class)
(declarations (instance name: (_) @owner patterns: (_) @name declarations: (_) @body) @extension)
(declarations (type_synonym name: (_) @name) @type)
(declarations (type_family name: (_) @name) @type)
(declarations (pattern_synonym) @type)
