(comment) @lead
(type_declaration) @wrap
(var_declaration) @wrap
(package_clause) @file

(function_declaration name: (identifier) @name body: (_) @body) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @owner
    (generic_type type: (_) @owner)
    (pointer_type [(type_identifier) @owner (generic_type type: (_) @owner)])
  ]))
  name: (_) @name
  body: (_) @body) @method
(var_spec name: (identifier) @name value: (expression_list . (func_literal body: (_) @body) .)) @function

(type_spec name: (_) @name type: (struct_type (field_declaration_list) @body)) @class
(type_spec name: (_) @name type: (interface_type "{" @body)) @class
(type_spec name: (_) @name) @type
