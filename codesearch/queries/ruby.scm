(comment) @lead

(method name: (_) @name body: (_) @body) @function
(method name: (_) @name) @function
(singleton_method name: (_) @name body: (_) @body) @method
(singleton_method name: (_) @name) @method
(call
  method: (identifier) @keyword
  arguments: (argument_list . [(simple_symbol) (string)] @name)
  block: (_) @body) @function

(class name: (_) @name body: (_) @body) @class
(class name: (_) @name) @class
(module name: (_) @name body: (_) @body) @class
(singleton_class) @extension
; X = Struct.new(:a) do ... end
(assignment left: (constant) @name right: (call block: (_) @body)) @type
