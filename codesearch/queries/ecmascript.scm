; What JavaScript and TypeScript share.
[(decorator) (comment)] @lead
[
  (export_statement)
  (lexical_declaration (variable_declarator value: [(arrow_function) (function_expression) (class) (call_expression)]))
  (variable_declaration (variable_declarator value: [(arrow_function) (function_expression) (class) (call_expression)]))
  (expression_statement (assignment_expression))
] @wrap

(function_declaration name: (identifier) @name body: (_) @body) @function
(generator_function_declaration name: (identifier) @name body: (_) @body) @function
(export_statement "default" @name value: [(function_expression body: (_) @body) (arrow_function body: (_) @body)]) @function
(method_definition name: (_) @name body: (_) @body) @function

; Functions by assignment: const f = () => {}, exports.f = function () {}, X.prototype.f = function () {}.
(variable_declarator
  name: (identifier) @name
  value: [
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
    (arrow_function body: (_) @body)
  ]) @function
(assignment_expression
  left: [(identifier) (member_expression)] @name
  right: [
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
    (arrow_function body: (_) @body)
  ]) @function
(assignment_expression right: (function_expression name: (identifier) @name body: (_) @body) @function)
(pair
  key: [(property_identifier) (string)] @name
  value: [(function_expression body: (_) @body) (arrow_function body: (_) @body)]) @function

; A function with a name of its own, handed to another: defineGetter(req, 'ip', function ip() {}).
(arguments (function_expression name: (identifier) @name body: (_) @body) @function)

; const f = wrap(() => {}), as in memo, useCallback or a request handler.
(variable_declarator
  name: (identifier) @name
  value: (call_expression arguments: (arguments [(arrow_function) (function_expression)]) @body)) @accessor

(class_declaration name: (_) @name body: (_) @body) @class
(export_statement "default" @name value: (class body: (_) @body)) @class
(variable_declarator name: (identifier) @name value: (class body: (_) @body)) @class
(assignment_expression left: (_) @name right: (class body: (_) @body)) @class

; Objects lend their name to the functions in them.
(variable_declarator name: (identifier) @name value: (object)) @namespace
(assignment_expression left: (member_expression) @name right: (object)) @namespace
(pair key: [(property_identifier) (string)] @name value: (object)) @namespace

; Tests: it('adds', () => {}), test.only('adds', function () {}), describe('Queue', () => {}).
(call_expression
  function: [(identifier) @keyword (member_expression object: (identifier) @keyword)]
  arguments: (arguments
    . [(string) (template_string)] @name
    [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function
(call_expression
  function: [(identifier) @keyword (member_expression object: (identifier) @keyword)]
  arguments: (arguments
    . [(string) (template_string)] @name
    [(arrow_function) (function_expression)])) @namespace
