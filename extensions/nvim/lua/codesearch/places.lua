-- Results as Neovim has places: a line of text, a quickfix item, a cursor in a buffer.

local visible = require("codesearch.visible")

local M = {}

--- The path of RESULT, if it lies in ROOT: what the backend says is data too.
function M.path(root, result)
  local path = result.path
  if path:sub(1, 1) == "/" or path:find("^%a:") or ("/" .. path .. "/"):find("/../", 1, true) then
    return nil
  end
  return root .. "/" .. path
end

--- What a piece of code is called, or how it begins.
function M.name(result)
  local symbol = result.symbol or ""
  return visible(symbol ~= "" and symbol or vim.trim(result.text or result.path):match("^[^\n]*"))
end

--- One line: what it is called, where it is, and for related code why.
function M.line(result)
  local relation = result.relation and result.relation .. ": " or ""
  return ("%s%s  %s:%d"):format(relation, M.name(result), visible(result.path), result.start_line)
end

function M.quickfix(root, results)
  local items = {}
  for _, result in ipairs(results) do
    local path = M.path(root, result)
    if path then
      local relation = result.relation and result.relation .. ": " or ""
      items[#items + 1] = { filename = path, lnum = result.start_line, end_lnum = result.end_line, col = 1, text = relation .. M.name(result) }
    end
  end
  return items
end

function M.open(root, result)
  local path = M.path(root, result)
  if not path then
    return
  end
  vim.cmd("normal! m'")
  vim.cmd("edit " .. vim.fn.fnameescape(path))
  -- The file may have become shorter since it was indexed.
  vim.api.nvim_win_set_cursor(0, { math.max(1, math.min(result.start_line, vim.api.nvim_buf_line_count(0))), 0 })
  vim.cmd("normal! zvzz")
end

return M
