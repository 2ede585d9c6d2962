-- The commands. Nothing else is loaded before the first of them is used.

if vim.g.loaded_codesearch or vim.fn.has("nvim-0.7") == 0 then
  return
end
vim.g.loaded_codesearch = true

local function command(name, run, options)
  vim.api.nvim_create_user_command(name, function(given)
    run(require("codesearch"), given)
  end, options)
end

command("CodeSearch", function(codesearch, given)
  codesearch.ask(given.args, { quickfix = given.bang })
end, { nargs = "*", bang = true, desc = "Ask your code a question; with ! the answers go into the quickfix list" })

command("CodeSearchRelated", function(codesearch, given)
  codesearch.related({ line = given.line1, quickfix = given.bang })
end, { range = true, bang = true, desc = "Tests, documentation and callers of the code here, and what is like it" })

command("CodeSearchIndex", function(codesearch, given)
  codesearch.index({ rebuild = given.bang })
end, { bang = true, desc = "Bring the index up to date; with ! build it anew" })

command("CodeSearchAdapt", function(codesearch)
  codesearch.adapt()
end, { desc = "Adapt the retriever to this folder" })

command("CodeSearchStatus", function(codesearch)
  codesearch.status()
end, { desc = "What is indexed, and what adapting brought" })

command("CodeSearchCancel", function(codesearch)
  codesearch.cancel()
end, { desc = "Cancel what codesearch is doing" })

command("CodeSearchRestart", function(codesearch)
  codesearch.restart()
end, { desc = "End the backends; the next question starts them anew" })
