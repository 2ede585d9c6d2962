(comment) @lead

(method name: (_) @name parameters: (_) @header) @function
(method name: (_) @name @header) @function
(singleton_method name: (_) @name parameters: (_) @header) @method
(singleton_method name: (_) @name @header) @method
(call
  method: (identifier) @keyword
  arguments: (argument_list . [(simple_symbol) (string)] @name)
  block: (_) @body) @function
; describe Queue do ... end
(call
  method: (identifier) @keyword
  arguments: (argument_list . [(string) (constant) (scope_resolution)] @name)
  block: (_)) @namespace

(class name: (_) @name superclass: (_) @header) @class
(class name: (_) @name @header) @class
(module name: (_) @name @header) @module
(singleton_class) @extension
; X = Struct.new(:a) do ... end
(assignment left: (constant) @name right: (call block: (_) @body)) @type
