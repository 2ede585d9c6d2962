[(line_comment) (block_comment) (attribute_item)] @lead

(function_item name: (_) @name body: (_) @body) @function
(macro_definition name: (_) @name) @function

(struct_item name: (_) @name body: (field_declaration_list) @body) @class
(struct_item name: (_) @name) @class
(enum_item name: (_) @name body: (_) @body) @class
(union_item name: (_) @name body: (_) @body) @class
(trait_item name: (_) @name body: (_) @body) @class
(impl_item type: (_) @name body: (_) @body) @extension
(mod_item name: (_) @name body: (_) @body) @namespace
