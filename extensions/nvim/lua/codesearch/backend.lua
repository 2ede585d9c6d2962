-- One process `codesearch serve --stdio` for each root: started by the first question, again by the first one after it
-- died, and ended with the editor (its standard input closes).

local config = require("codesearch.config")
local framing = require("codesearch.framing")

local M = {}

-- By root.
local backends = {}
-- Deaths in a row after which only :CodeSearchRestart tries again, and milliseconds of pause after the first.
local MAX_DEATHS, FIRST_PAUSE = 5, 250
-- JSON-RPC's number for a cancelled request, as LSP has it.
local CANCELLED = -32800

local Backend = {}
Backend.__index = Backend

function Backend:send(message)
  message.jsonrpc = "2.0"
  -- A job that has just died answers with an error or 0; its on_exit tells those who wait.
  pcall(vim.fn.chansend, self.job, framing.framed(message))
end

--- DONE gets (error, result), error as {message, kind, advice}. Returns the function that cancels.
function Backend:request(method, params, done, progress)
  self.last = self.last + 1
  local id = self.last
  self.pending[id] = { done = done, progress = progress }
  self:send({ id = id, method = method, params = next(params) and params or vim.empty_dict() })
  return function()
    if self.pending[id] then
      self.pending[id] = nil
      self:send({ method = "$/cancelRequest", params = { id = id } })
      done({ message = "cancelled", kind = "cancelled" })
    end
  end
end

function Backend:handle(message)
  if message.method == "progress" then
    local waiting = self.pending[message.params.id]
    local progress = waiting and waiting.progress or M.on_progress
    if progress then
      progress(message.params)
    end
    return
  end
  local waiting = message.id and self.pending[message.id]
  if not waiting then
    return
  end
  self.pending[message.id] = nil
  if message.error then
    local data = message.error.data or {}
    local kind = message.error.code == CANCELLED and "cancelled" or data.kind
    waiting.done({ message = message.error.message, kind = kind, advice = data.advice })
  else
    waiting.done(nil, message.result)
  end
end

function Backend:over(why)
  if self.dead then
    return
  end
  self.dead = true
  pcall(vim.fn.jobstop, self.job)
  local pending = self.pending
  self.pending = {}
  for _, waiting in pairs(pending) do
    waiting.done({ message = why, kind = "gone" })
  end
end

local function start(root, deaths)
  local command, missing = config.command()
  if not command then
    return nil, missing
  end
  vim.list_extend(command, { "serve", "--stdio", "--root", root })
  vim.list_extend(command, config.values.arguments)
  local backend = setmetatable({ pending = {}, last = 0, words = {}, deaths = deaths }, Backend)
  local unframe = framing.unframer()
  local started = vim.loop.now()
  local good, job = pcall(vim.fn.jobstart, command, {
    -- Not in the folder: a stranger's files must not be found before the program's own.
    cwd = vim.loop.os_homedir(),
    on_stdout = function(_, lines)
      local messages, broken = unframe(table.concat(lines, "\n"))
      for _, message in ipairs(messages or {}) do
        backend:handle(message)
      end
      if broken then
        backend:over("what the backend says cannot be read: " .. broken)
      end
    end,
    on_stderr = function(_, lines)
      vim.list_extend(backend.words, lines)
      backend.words = vim.list_slice(backend.words, math.max(1, #backend.words - 20))
    end,
    on_exit = function(_, code)
      local words = vim.trim(table.concat(backend.words, "\n"))
      local why = ("%s ended with exit code %d"):format(command[1], code)
      -- What lived for a minute died of something new.
      backend.deaths = vim.loop.now() - started > 60000 and 1 or deaths + 1
      backend:over(words == "" and why or why .. ": " .. words)
    end,
  })
  if not good or job <= 0 then
    return nil, ("%s cannot be run"):format(command[1])
  end
  backend.job = job
  backend:request("initialize", {
    clientInfo = { name = "nvim", version = tostring(vim.version().major) .. "." .. vim.version().minor },
    root = root,
    protocolVersion = 1,
    trusted = config.values.trusted,
  }, function(failed, said)
    if failed and failed.kind ~= "gone" then
      backend:over(failed.message)
    elseif said and said.protocolVersion ~= 1 then
      backend:over(("%s speaks another protocol; bring it and this plug-in up to date"):format(command[1]))
    elseif said then
      backend.initialized = said
    end
  end)
  return backend
end

--- Asks the backend of ROOT, and once more of a new one where it dies of that and nothing was changed by asking.
--- DONE gets (error, result). Returns the function that cancels.
function M.request(root, method, params, done, progress)
  local stop, cancelled
  local again = method ~= "index" and method ~= "adapt"
  local function try()
    local backend = backends[root]
    if not backend or backend.dead then
      local deaths = backend and backend.deaths or 0
      if deaths >= MAX_DEATHS then
        return done({ message = ("the backend died %d times in a row"):format(deaths), kind = "gone", advice = ":CodeSearchRestart" })
      end
      local why
      backend, why = start(root, deaths)
      if not backend then
        return done({ message = why, kind = "missing" })
      end
      backends[root] = backend
    end
    stop = backend:request(method, params, function(failed, result)
      if failed and failed.kind == "gone" and again and backend.initialized and not cancelled then
        again = false
        M.say("the backend ended; it is started again", vim.log.levels.WARN)
        local pause = FIRST_PAUSE * 2 ^ math.max(backend.deaths - 1, 0)
        return vim.defer_fn(function()
          if not cancelled then
            try()
          end
        end, pause)
      end
      if result and backend.deaths > 0 and not failed then
        backend.deaths = 0
      end
      done(failed, result)
    end, progress)
  end
  try()
  return function()
    cancelled = true
    if stop then
      stop()
    end
  end
end

--- Ends the backends; the next question starts new ones.
function M.stop()
  for root, backend in pairs(backends) do
    backend:over("stopped")
    backends[root] = nil
  end
end

--- The process of ROOT's backend, for those who look.
function M.pid(root)
  local backend = backends[root]
  return backend and not backend.dead and vim.fn.jobpid(backend.job) or nil
end

function M.say(message, level)
  local notify = config.values.notify or vim.notify
  notify("codesearch: " .. require("codesearch.visible")(message), level or vim.log.levels.INFO)
end

return M
