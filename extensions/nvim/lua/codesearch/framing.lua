-- Messages on a stream: `Content-Length: N`, an empty line, N bytes of JSON.

local M = {}

-- Bytes of a message, as PROTOCOL.md has it, and of a header.
local MAX_MESSAGE = 4 * 1024 * 1024
local MAX_HEADER = 4096

function M.framed(message)
  local body = vim.json.encode(message)
  return ("Content-Length: %d\r\n\r\n%s"):format(#body, body)
end

--- Returns a function that takes text as it comes and returns the messages that are complete, or nil and why it cannot go on.
function M.unframer()
  local parts, held, wanted = {}, 0, nil
  return function(text)
    parts[#parts + 1] = text
    held = held + #text
    local messages = {}
    while true do
      if wanted and held < wanted then
        return messages
      end
      local all = table.concat(parts)
      if not wanted then
        local first, last = all:find("\r\n\r\n", 1, true)
        if not first then
          parts = { all }
          if #all > MAX_HEADER then
            return nil, "a header has no end"
          end
          return messages
        end
        wanted = tonumber(("\r\n" .. all:sub(1, first - 1)):lower():match("\r\ncontent%-length:%s*(%d+)"))
        if not wanted or wanted > MAX_MESSAGE then
          return nil, wanted and "a message is too long" or "a header has no length"
        end
        all = all:sub(last + 1)
      else
        local good, message = pcall(vim.json.decode, all:sub(1, wanted), { luanil = { object = true, array = true } })
        if not good then
          return nil, "a message is no JSON"
        end
        messages[#messages + 1] = message
        all = all:sub(wanted + 1)
        wanted = nil
      end
      parts, held = { all }, #all
    end
  end
end

return M
