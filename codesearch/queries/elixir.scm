; @doc, @spec, @impl and the like lead the function below them.
[(comment) (unary_operator operator: "@" operand: (call))] @lead

(call
  target: (identifier) @keyword
  (arguments . [
    (identifier) @name
    (call target: (_) @name)
    (binary_operator left: (identifier) @name operator: "when")
    (binary_operator left: (call target: (_) @name) operator: "when")
  ])
  (do_block)? @body) @function
; An operator.
(call
  target: (identifier) @keyword
  (arguments . [
    (binary_operator left: (_) operator: _ @name)
    (binary_operator left: (binary_operator left: (_) operator: _ @name) operator: "when")
  ])
  (do_block)? @body) @function
(call
  target: (identifier) @keyword
  (arguments . (string) @name)
  (do_block) @body) @function

(call
  target: (identifier) @keyword
  (arguments . (_) @name)
  (do_block) @body) @module
(call
  target: (identifier) @keyword
  (arguments . (alias) @owner (keywords (pair value: (_) @name)))
  (do_block) @body) @extension
(call
  target: (identifier) @keyword
  (arguments . (string) @name)
  (do_block) @body) @namespace
