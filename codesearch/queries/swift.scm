[(comment) (multiline_comment) (attribute)] @lead

(function_declaration name: _ @name body: (_) @body) @function
(init_declaration name: _ @name body: (_) @body) @method
(deinit_declaration "deinit" @name body: (_) @body) @method
(subscript_declaration "subscript" @name (computed_property) @body) @accessor
(property_declaration name: (pattern bound_identifier: (_) @name) computed_value: (_) @body) @accessor
(property_declaration name: (pattern bound_identifier: (_) @name) value: [
  (lambda_literal)
  (call_expression (lambda_literal))
] @body) @accessor

(class_declaration declaration_kind: "extension" name: (_) @name body: (_) @body) @extension
(class_declaration declaration_kind: ["class" "struct" "enum" "actor"] name: (_) @name body: (_) @body) @class
(protocol_declaration name: (_) @name body: (_) @body) @class
