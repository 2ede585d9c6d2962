[(comment) (attribute_list)] @lead

(method_declaration name: (_) @name body: (_) @body) @method
(constructor_declaration name: (_) @name body: (_) @body) @method
(destructor_declaration name: (_) @name body: (_) @body) @method
(operator_declaration operator: _ @name body: (_) @body) @method
(conversion_operator_declaration type: (_) @name body: (_) @body) @method
(local_function_statement name: (_) @name body: (_) @body) @function
(property_declaration name: (_) @name accessors: (_) @body) @accessor
(property_declaration name: (_) @name value: (arrow_expression_clause) @body) @accessor
(indexer_declaration "this" @name) @accessor

(class_declaration name: (_) @name body: (_) @body) @class
(struct_declaration name: (_) @name body: (_) @body) @class
(interface_declaration name: (_) @name body: (_) @body) @class
(enum_declaration name: (_) @name body: (_) @body) @class
(record_declaration name: (_) @name body: (_) @body) @class
(record_declaration name: (_) @name) @class
(delegate_declaration name: (_) @name) @type
