(comment) @lead

(function_declaration name: (_) @name body: (_) @body) @function
(test_declaration [(string) (identifier)] @name (block) @body) @function

(variable_declaration
  (identifier) @name
  [
    (struct_declaration "{" @body)
    (enum_declaration "{" @body)
    (union_declaration "{" @body)
    (opaque_declaration "{" @body)
    (error_set_declaration "{" @body)
  ]) @class
