[(comment) (block_comment) (annotation)] @lead

(function_definition name: (_) @name body: (_) @body) @function
(val_definition pattern: (identifier) @name value: (lambda_expression) @body) @accessor

(class_definition name: (_) @name body: (_) @body) @class
(class_definition name: (_) @name) @class
(object_definition name: (_) @name body: (_) @body) @class
(object_definition name: (_) @name) @class
(trait_definition name: (_) @name body: (_) @body) @class
(trait_definition name: (_) @name) @class
(enum_definition name: (_) @name body: (_) @body) @class
(given_definition name: (_) @name body: (_) @body) @class
(package_object name: (_) @name body: (_) @body) @class
; val instances: Monad[F] = new Monad[F] { ... }
(val_definition pattern: (identifier) @name value: (instance_expression (template_body) @body)) @type
(extension_definition) @extension
