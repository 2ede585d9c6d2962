-- :Telescope codesearch: searches while you type; the file of the active line shows beside it.

local telescope = require("telescope")

local backend = require("codesearch.backend")
local codesearch = require("codesearch")
local config = require("codesearch.config")
local places = require("codesearch.places")

-- Milliseconds without a key before it asks.
local PAUSE = 60

--- A finder of Telescope's: called with what is typed, it gives results as they come, and drops those of an older prompt.
local function finder(root, entry)
  local turn, cancel = 0, nil
  local function stop()
    turn = turn + 1
    if cancel then
      cancel()
      cancel = nil
    end
  end
  return setmetatable({ close = stop }, {
    __call = function(_, prompt, process_result, process_complete)
      stop()
      local mine = turn
      if vim.trim(prompt or "") == "" then
        return process_complete()
      end
      vim.defer_fn(function()
        if mine ~= turn then
          return process_complete()
        end
        cancel = backend.request(root, "ask", codesearch.ask_params(prompt), function(failed, answer)
          if mine == turn then
            cancel = nil
            if failed and failed.kind ~= "cancelled" then
              backend.say(failed.message, vim.log.levels.ERROR)
            end
            for i, result in ipairs(answer and answer.results or {}) do
              if places.path(root, result) and process_result(entry(result, i)) then
                break
              end
            end
          end
          process_complete()
        end)
      end, PAUSE)
    end,
  })
end

local function pick(options)
  local root = config.root()
  local values = require("telescope.config").values
  local function entry(result, index)
    return {
      value = result,
      index = index,
      ordinal = places.line(result),
      display = places.line(result),
      filename = places.path(root, result),
      lnum = result.start_line,
      lnend = result.end_line,
      col = 1,
    }
  end
  require("telescope.pickers")
    .new(options or {}, {
      prompt_title = "Ask your code",
      finder = finder(root, entry),
      previewer = values.grep_previewer(options or {}),
      -- The order of the answer is the order.
      sorter = require("telescope.sorters").empty(),
    })
    :find()
end

return telescope.register_extension({ exports = { codesearch = pick } })
