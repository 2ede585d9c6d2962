[(line_comment) (block_comment) (annotation)] @lead
; The grammar takes annotations on lines of their own before a declaration it can not read for an expression.
(annotated_expression) @wrap

(function_declaration
  [(user_type) (nullable_type) (parenthesized_type)] @owner . name: (identifier) @name
  (function_body) @body) @method
(function_declaration name: (identifier) @name (function_body) @body) @function
(secondary_constructor "constructor" @name (block) @body) @method
(property_declaration (variable_declaration (identifier) @name) [(getter) (setter) (property_delegate)] @body) @accessor
(property_declaration (variable_declaration (identifier) @name) (call_expression (annotated_lambda)) @body) @accessor

(class_declaration name: (identifier) @name [(class_body) (enum_class_body)] @body) @class
(class_declaration name: (identifier) @name) @class
(object_declaration name: (identifier) @name (class_body) @body) @class
(object_declaration name: (identifier) @name) @class
(companion_object) @extension
