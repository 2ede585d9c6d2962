(template_declaration) @wrap

(function_definition
  declarator: [
    (function_declarator declarator: [(field_identifier) (destructor_name) (operator_name) (template_function)] @name)
    (pointer_declarator declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name))
    (reference_declarator (function_declarator declarator: [(identifier) (field_identifier) (operator_name)] @name))
  ]
  body: (_) @body) @function
(function_definition
  declarator: [
    (function_declarator declarator: (qualified_identifier) @name)
    (pointer_declarator declarator: (function_declarator declarator: (qualified_identifier) @name))
    (reference_declarator (function_declarator declarator: (qualified_identifier) @name))
    (qualified_identifier name: (operator_cast)) @name
  ]
  body: (_) @body) @method
(function_definition declarator: (operator_cast) @name body: (_) @body) @method

(class_specifier name: (_) @name body: (_) @body) @class
(namespace_definition name: (_) @name body: (_)) @namespace
