(comment) @lead
(variable_declaration (assignment_statement (expression_list value: (function_definition)))) @wrap

(function_declaration name: [(identifier) (dot_index_expression)] @name parameters: (_) @header) @function
(function_declaration name: (method_index_expression) @name parameters: (_) @header) @method
(assignment_statement
  (variable_list . name: (_) @name .)
  (expression_list . value: (function_definition parameters: (_) @header) .)) @function
(field name: (_) @name value: (function_definition parameters: (_) @header)) @function

; Tables lend their name to the functions in them.
(assignment_statement
  (variable_list . name: (_) @name .)
  (expression_list . value: (table_constructor) .)) @namespace
