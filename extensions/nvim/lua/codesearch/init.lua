-- What the commands do: ask, show, and say what came of it. Settings are in config.lua, processes in backend.lua.

local backend = require("codesearch.backend")
local config = require("codesearch.config")
local places = require("codesearch.places")

local M = {}

-- What can be cancelled: functions, by a number.
local running = {}
-- Milliseconds before the same question is asked again of an index that is still being built.
local AGAIN = 1000

M.setup = config.set

local function complain(failed)
  if failed.kind ~= "cancelled" then
    local advice = failed.advice or ""
    backend.say(failed.message .. (advice == "" and "" or ". " .. advice), vim.log.levels.ERROR)
  end
end

--- As backend.request, for the folder of the current file, in the list of what can be cancelled.
local function request(root, method, params, done, progress)
  local key, over = {}, false
  local stop = backend.request(root, method, params, function(failed, result)
    over = true
    running[key] = nil
    done(failed, result)
  end, progress)
  -- It may be over at once, where there is no program.
  running[key] = not over and stop or nil
end

function M.ask_params(question)
  return { query = question, limit = config.values.limit, tests = config.values.tests, answer = false }
end

local function show(root, results, title, quickfix)
  if #results == 0 then
    return backend.say("nothing here answers that")
  end
  if quickfix then
    vim.fn.setqflist({}, " ", { title = require("codesearch.visible")(title), items = places.quickfix(root, results) })
    vim.cmd("copen")
    return
  end
  vim.ui.select(results, { prompt = title, kind = "codesearch", format_item = places.line }, function(chosen)
    if chosen then
      places.open(root, chosen)
    end
  end)
end

--- Asks QUESTION, or asks for it; with `quickfix` the answers go into the quickfix list.
function M.ask(question, options)
  options = options or {}
  local root = config.root()
  if not question or question == "" then
    return vim.ui.input({ prompt = "Ask your code: " }, function(given)
      if given and given ~= "" then
        M.ask(given, options)
      end
    end)
  end
  local told = false
  local function try()
    request(root, "ask", M.ask_params(question), function(failed, answer)
      if failed then
        return complain(failed)
      end
      local building = answer.indexed < 1 or answer.state == "missing"
      if building and #answer.results == 0 then
        if not told then
          told = true
          backend.say("the index is being built; the answer comes as soon as there is one")
        end
        return vim.defer_fn(try, AGAIN)
      end
      if building then
        backend.say(("indexing, %d %% searched"):format(math.floor(answer.indexed * 100)))
      end
      show(root, answer.results, question, options.quickfix)
    end)
  end
  try()
end

--- What belongs to the code at `line` of the current file, by default the cursor's.
function M.related(options)
  options = options or {}
  local root = config.root()
  local file = vim.loop.fs_realpath(vim.api.nvim_buf_get_name(0)) or ""
  if file:sub(1, #root + 1) ~= root .. "/" then
    return backend.say("this is no file of " .. root, vim.log.levels.ERROR)
  end
  local line = options.line or vim.fn.line(".")
  request(root, "related", { path = file:sub(#root + 2), line = line }, function(failed, answer)
    if failed then
      return complain(failed)
    end
    if #answer.related == 0 then
      return backend.say("nothing is related to this")
    end
    show(root, answer.related, "Related to " .. places.name(answer), options.quickfix)
  end)
end

--- Says how far work is, but not more than once a second.
local function reporter()
  local last = 0
  return function(said)
    local now = vim.loop.now()
    if said.kind == "report" and said.stage ~= "warning" and now - last < 1000 then
      return
    end
    last = now
    if said.kind == "end" or said.message == "" then
      return
    end
    local parts = { said.message }
    if said.percentage then
      parts[#parts + 1] = ("%d %%"):format(said.percentage)
    end
    if said.mrr then
      parts[#parts + 1] = ("MRR %.3f"):format(said.mrr) .. (said.before and (" (was %.3f)"):format(said.before) or "")
    end
    backend.say(table.concat(parts, ", "), said.stage == "warning" and vim.log.levels.WARN or nil)
  end
end

backend.on_progress = reporter()

function M.index(options)
  request(config.root(), "index", { rebuild = options and options.rebuild or nil }, function(failed, said)
    if failed then
      return complain(failed)
    end
    backend.say(("the index is up to date: %d files, %d chunks"):format(said.files or 0, said.chunks or 0))
  end, reporter())
end

local function outcome(adaptation)
  return (adaptation.accepted and "adapted: " or "not adapted: ") .. adaptation.reason
end

function M.adapt(options)
  request(config.root(), "adapt", options or {}, function(failed, adaptation)
    if failed then
      return complain(failed)
    end
    backend.say(outcome(adaptation))
  end, reporter())
end

function M.status()
  request(config.root(), "status", {}, function(failed, status)
    if failed then
      return complain(failed)
    end
    local what = ("index %s, %d files, %d chunks"):format(status.state, status.files, status.chunks)
    local doing = status.indexing and ", indexing" or status.adapting and ", adapting" or ""
    backend.say(what .. doing .. (status.adaptation and "; " .. outcome(status.adaptation) or ""))
  end)
end

function M.cancel()
  local stops = running
  running = {}
  for _, stop in pairs(stops) do
    stop()
  end
end

--- Ends the backends; the next question starts them anew.
function M.restart()
  backend.stop()
end

return M
