-- The settings, with their defaults, and where the program is.

local M = {}

M.values = {
  -- The program, and arguments between it and `serve`; a list.
  command = { "codesearch" },
  -- More arguments for `codesearch serve --stdio`.
  arguments = {},
  -- How many answers.
  limit = 20,
  -- Whether tests are among the answers: true, false, or nil as codesearch itself is set.
  tests = nil,
  -- Whether adapting may read and learn from the folder.
  trusted = true,
  -- How to find the folder of a file: the nearest one, upwards, that holds one of these; else the working directory.
  markers = { ".git", ".codesearch", ".hg" },
  -- Called with (message, level); nil for vim.notify.
  notify = nil,
}

function M.set(given)
  M.values = vim.tbl_extend("force", M.values, given or {})
end

--- Where `pip` in an environment of codesearch's own puts it, beside what is on PATH.
M.own = "~/.local/share/codesearch/venv/bin/codesearch"

--- The command as a list of full paths and arguments, or nil and what is wrong.
function M.command()
  local command = vim.deepcopy(M.values.command)
  if type(command) == "string" then
    command = { command }
  end
  local program = vim.fn.expand(command[1])
  if vim.fn.executable(program) == 0 and command[1] == "codesearch" then
    program = vim.fn.expand(M.own)
  end
  if vim.fn.executable(program) == 0 then
    return nil, ("the program %s was not found; :help codesearch-install"):format(command[1])
  end
  -- A full path: the backend is started from another directory.
  command[1] = vim.fn.exepath(program)
  return command
end

--- The folder that is asked: of the current file, or the working directory.
function M.root()
  local name = vim.api.nvim_buf_get_name(0)
  local from = (name ~= "" and vim.bo.buftype == "") and vim.fn.fnamemodify(name, ":p:h") or vim.fn.getcwd()
  local folder = from
  while true do
    for _, marker in ipairs(M.values.markers) do
      if vim.loop.fs_stat(folder .. "/" .. marker) then
        return vim.loop.fs_realpath(folder)
      end
    end
    local above = vim.fn.fnamemodify(folder, ":h")
    if above == folder then
      break
    end
    folder = above
  end
  return vim.loop.fs_realpath(vim.fn.getcwd())
end

return M
