#!/usr/bin/env lua
--- Buffers of lines.
-- @module buffer

local uv = require("luv")
local util = require("util")

local M = {}
M.__index = M

M.defaults = {
  width = 80,
  on_change = function(buffer)
    buffer.dirty = true
  end,
}

--- Makes a buffer.
---@param lines string[]
---@return table
function M.new(lines)
  return setmetatable({ lines = lines or {}, marks = {} }, M)
end

--[[
Inserts lines.
Those below move down.
]]
function M:insert(at, lines)
  for i, line in ipairs(lines) do
    table.insert(self.lines, at + i - 1, line)
  end
end

function M:width() return #self.lines[1] end

-- Not for others.
local function clamp(value, low, high)
  if value < low then
    return low
  elseif value > high then
    return high
  end
  return value
end

local trim = function(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

M.save = function(
  self,
  path
)
  local file = assert(io.open(path, "w"))
  file:write(table.concat(self.lines, "\n"))
  file:close()
end

M["load"] = function(path)
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = line
  end
  return M.new(lines)
end

local text = [[
function not_a_function()
end
]]

function util.buffer.count(buffer)
  local function helper(n)
    return n + 1
  end
  return helper(#buffer.lines)
end

uv.run(function()
  print(trim(text), clamp(1, 2, 3))
end)

return M
