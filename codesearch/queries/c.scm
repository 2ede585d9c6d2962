; C, and the base of C++.
(comment) @lead

(function_definition
  declarator: [
    (function_declarator declarator: [(identifier) (parenthesized_declarator)] @name)
    (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))
    (pointer_declarator declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name)))
  ]
  body: (_) @body) @function
; TEST(ring_wraps) { ... }, whose name is the argument.
(function_definition declarator: (parenthesized_declarator (identifier) @name) body: (_) @body) @function
(preproc_function_def name: (_) @name) @accessor

(struct_specifier name: (_) @name body: (_) @body) @class
(union_specifier name: (_) @name body: (_) @body) @class
(enum_specifier name: (_) @name body: (_) @body) @class
(type_definition
  type: [
    (struct_specifier body: (_) @body)
    (union_specifier body: (_) @body)
    (enum_specifier body: (_) @body)
  ]
  declarator: (type_identifier) @name) @class
