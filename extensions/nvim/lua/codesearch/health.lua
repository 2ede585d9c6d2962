-- :checkhealth codesearch

local config = require("codesearch.config")

local M = {}

function M.check()
  -- Named otherwise before 0.10.
  local health = vim.health or require("health")
  local start, ok = health.start or health.report_start, health.ok or health.report_ok
  local warn, error = health.warn or health.report_warn, health.error or health.report_error

  start("codesearch")
  if vim.fn.has("nvim-0.7") == 1 then
    ok("Neovim is 0.7 or newer")
  else
    error("Neovim is older than 0.7")
  end
  local command, missing = config.command()
  if not command then
    return error(missing)
  end
  local help = vim.fn.system(vim.list_extend(vim.deepcopy(command), { "serve", "--help" }))
  if vim.v.shell_error ~= 0 or not help:find("%-%-stdio") then
    error(command[1] .. " has no `serve --stdio`; bring it up to date")
  else
    ok(command[1])
  end
  local root = config.root()
  local said
  require("codesearch.backend").request(root, "status", {}, function(failed, status)
    said = { failed, status }
  end)
  vim.wait(15000, function()
    return said ~= nil
  end, 20)
  if not said then
    error("the backend says nothing")
  elseif said[1] then
    error(said[1].message)
  else
    local status = said[2]
    local line = ("%s: index %s, %d files, %d chunks"):format(root, status.state, status.files, status.chunks)
    if status.state == "missing" then
      warn(line .. "; the first question builds it")
    else
      ok(line)
    end
    if status.adaptation then
      ok((status.adaptation.accepted and "adapted: " or "not adapted: ") .. status.adaptation.reason)
    end
  end
  if pcall(require, "telescope") then
    ok("Telescope is there: :Telescope codesearch")
  else
    ok("Telescope is not there; answers come by vim.ui.select")
  end
end

return M
