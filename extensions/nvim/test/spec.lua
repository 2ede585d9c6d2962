-- Runs in a headless Neovim of test/run: does what a person does, prints a line for each thing seen, exits 1 at a failure.

local codesearch = require("codesearch")
local backend = require("codesearch.backend")
local framing = require("codesearch.framing")
local visible = require("codesearch.visible")

local top = vim.env.TOP
local root = vim.loop.fs_realpath(top .. "/root")
local failures = 0
local said = {}
local offered, prompt

local function out(text)
  io.stdout:write(text .. "\n")
end

local function equal(got, wanted)
  if not vim.deep_equal(got, wanted) then
    error(("got %s, wanted %s"):format(vim.inspect(got), vim.inspect(wanted)), 2)
  end
end

local function wait(what, condition)
  if not vim.wait(10000, condition, 10) then
    error(what .. " did not come; said: " .. vim.inspect(said), 2)
  end
end

local function heard(pattern)
  for _, message in ipairs(said) do
    if message:find(pattern) then
      return message
    end
  end
end

--- vim.ui.select that notes what it is offered and takes the line that PICK names.
local function picks(pick)
  offered = nil
  vim.ui.select = function(items, options, done)
    prompt = options.prompt
    offered = vim.tbl_map(options.format_item, items)
    done(pick and items[pick], pick)
  end
end

local function test(name, run)
  said = {}
  vim.cmd("silent! %bwipeout!")
  vim.cmd("cclose")
  codesearch.setup({
    command = { top .. "/codesearch" },
    notify = function(message)
      said[#said + 1] = message
    end,
  })
  picks(nil)
  local good, why = xpcall(run, debug.traceback)
  failures = failures + (good and 0 or 1)
  out((good and "ok    " or "FAIL  ") .. name .. (good and "" or "\n" .. why))
end

test("messages come out whole, however they are cut", function()
  local messages = { { a = "über 漢字" }, { long = ("x"):rep(20000) }, { b = "\r\n\r\n" } }
  local all = table.concat(vim.tbl_map(framing.framed, messages))
  for _, size in ipairs({ 1, 7, #all }) do
    local unframe, got = framing.unframer(), {}
    for at = 1, #all, size do
      vim.list_extend(got, unframe(all:sub(at, at + size - 1)))
    end
    equal(got, messages)
  end
  for _, bad in ipairs({ "X: 1\r\n\r\n{}", "Content-Length: 99999999999\r\n\r\n", ("x"):rep(5000), "Content-Length: 2\r\n\r\n{x" }) do
    equal((framing.unframer()(bad)), nil)
  end
end)

test(":CodeSearch offers answers and goes to the one that is taken", function()
  picks(1)
  vim.cmd("CodeSearch where are calls retried?")
  wait("the answer", function()
    return offered ~= nil
  end)
  equal(prompt, "where are calls retried?")
  equal(offered[1], "retry  sample.py:5")
  equal(vim.api.nvim_buf_get_name(0), root .. "/sample.py")
  equal(vim.api.nvim_win_get_cursor(0), { 5, 0 })
end)

test(":CodeSearch alone asks for the question", function()
  vim.ui.input = function(_, done)
    done("how long is a pause")
  end
  vim.cmd("CodeSearch")
  wait("the answer", function()
    return offered ~= nil
  end)
  equal(offered[1], "pause  sample.py:1")
end)

test(":CodeSearch! fills the quickfix list", function()
  vim.cmd("CodeSearch! where are calls retried?")
  wait("the list", function()
    return #vim.fn.getqflist() > 0
  end)
  local first = vim.fn.getqflist()[1]
  equal({ first.lnum, first.text, vim.api.nvim_buf_get_name(first.bufnr) }, { 5, "retry", root .. "/sample.py" })
  equal(#vim.fn.getqflist(), 3)
end)

test(":CodeSearchRelated says why each is related", function()
  vim.cmd("edit tests/../sample.py")
  vim.cmd("2CodeSearchRelated")
  wait("the answer", function()
    return offered ~= nil
  end)
  equal(prompt, "Related to pause")
  equal(offered[1], "caller: retry  sample.py:5")
end)

test("nothing found, and a refusal with its advice, are said", function()
  vim.cmd("CodeSearch nothing")
  wait("the word", function()
    return heard("nothing here answers")
  end)
  vim.cmd("CodeSearch refuse")
  wait("the advice", function()
    return heard("no index. Run codesearch index")
  end)
  equal(offered, nil)
end)

test(":CodeSearchIndex and :CodeSearchAdapt report and tell what came of it", function()
  vim.cmd("CodeSearchIndex")
  wait("the index", function()
    return heard("the index is up to date")
  end)
  assert(heard("indexing 0"), vim.inspect(said))
  vim.cmd("CodeSearchAdapt")
  wait("the adaptation", function()
    return heard("adapted: better")
  end)
  assert(heard("MRR 0%.300 %(was 0%.300%)"), vim.inspect(said))
  vim.cmd("CodeSearchStatus")
  wait("the status", function()
    return heard("index fresh, 2 files, 3 chunks; adapted: better")
  end)
end)

test(":CodeSearchCancel tells the backend and drops the answer", function()
  vim.cmd("CodeSearch slow")
  vim.cmd("CodeSearchCancel")
  vim.wait(700)
  equal(offered, nil)
  equal(said, {})
  assert(table.concat(vim.fn.readfile(top .. "/log"), "\n"):find("$/cancelRequest", 1, true))
end)

test("a backend that is killed is started again, and the question is answered", function()
  local before = backend.pid(root)
  vim.cmd("CodeSearch slow")
  vim.wait(100)
  vim.loop.kill(before, "sigkill")
  wait("the answer", function()
    return offered ~= nil
  end)
  assert(heard("the backend ended; it is started again"))
  assert(backend.pid(root) ~= before)
end)

test("what kills each backend is not asked for ever", function()
  vim.cmd("CodeSearch crash")
  wait("the end", function()
    return heard("ended")
  end)
  vim.wait(1500, function()
    return heard("exit code 3")
  end)
  assert(heard("exit code 3"), vim.inspect(said))
  vim.cmd("CodeSearch well again")
  wait("the answer", function()
    return offered ~= nil
  end)
end)

test("without a program it says where to read on", function()
  backend.stop()
  codesearch.setup({ command = { top .. "/none" } })
  vim.cmd("CodeSearch anything")
  wait("the word", function()
    return heard("was not found; :help codesearch%-install")
  end)
end)

test("an old program is told of with its own words", function()
  vim.env.FAKE_OLD = "1"
  vim.cmd("CodeSearch anything")
  wait("the word", function()
    return heard("exit code 2: No such option: %-%-stdio")
  end)
  vim.env.FAKE_OLD = nil
  backend.stop()
end)

test("text of a repository is data, and its paths stay in the root", function()
  vim.cmd("CodeSearch escapes")
  wait("the answer", function()
    return offered ~= nil
  end)
  equal(offered[1], "a^[[31m $(error) \239\191\189`b`  sample.py:5")
  equal(visible("a\nb\194\155c"), "a b\239\191\189c")
  local places = require("codesearch.places")
  for _, path in ipairs({ "/etc/passwd", "../x", "a/../../x", "c:/x" }) do
    equal(places.path(root, { path = path }), nil)
  end
end)

test(":checkhealth names the program and the index", function()
  vim.cmd("silent checkhealth codesearch")
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  assert(text:find("index fresh, 2 files", 1, true), text)
end)

test("the help file has its tags", function()
  vim.cmd("silent helptags " .. vim.fn.fnamemodify(vim.fn.findfile("doc/codesearch.txt", vim.o.rtp), ":h"))
  vim.cmd("silent help codesearch-install")
  equal(vim.fn.expand("%:t"), "codesearch.txt")
end)

if pcall(require, "telescope") then
  test(":Telescope codesearch searches while you type", function()
    require("telescope").load_extension("codesearch").codesearch()
    local picker = require("telescope.actions.state").get_current_picker(vim.api.nvim_get_current_buf())
    picker:set_prompt("where are calls retried?")
    wait("the answers", function()
      return picker.manager and picker.manager:num_results() == 3
    end)
    equal(picker.manager:get_entry(1).display, "retry  sample.py:5")
    require("telescope.actions").select_default(picker.prompt_bufnr)
    equal(vim.api.nvim_buf_get_name(0), root .. "/sample.py")
  end)
end

if vim.env.CODESEARCH then
  test("the real codesearch indexes, answers and knows what is related", function()
    backend.stop()
    codesearch.setup({ command = { vim.env.CODESEARCH } })
    picks(1)
    vim.cmd("CodeSearch call again until it works")
    if not vim.wait(60000, function()
      return offered ~= nil
    end, 20) then
      error(vim.inspect(said))
    end
    equal(offered[1], "retry  sample.py:5")
    offered = nil
    local started = vim.loop.hrtime()
    vim.cmd("CodeSearch wait for some seconds")
    wait("the second answer", function()
      return offered ~= nil
    end)
    out(("      a warm question: %d ms"):format((vim.loop.hrtime() - started) / 1e6))
    vim.cmd("edit! sample.py")
    vim.cmd("5CodeSearchRelated")
    wait("what is related", function()
      return #said > 0 or (prompt or ""):find("Related")
    end)
  end)
end

local here = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p:h")
for _, file in ipairs(vim.fn.glob(here .. "/../../conversations/*.json", true, true)) do
  test("what the real server was recorded to say is understood: " .. vim.fn.fnamemodify(file, ":t"), function()
    local places = require("codesearch.places")
    local decode = { luanil = { object = true, array = true } }
    local recorded = vim.json.decode(table.concat(vim.fn.readfile(file), "\n"), decode).messages
    local unframe = framing.unframer()
    for _, entry in ipairs(recorded) do
      local message = unframe(framing.framed(entry.message))[1]
      local result = type(message.result) == "table" and message.result or {}
      for _, place in ipairs(result.related or (result.confidence and result.results) or {}) do
        assert(places.line(place):find(place.path, 1, true))
        assert(places.path(root, place))
      end
    end
  end)
end

-- The last test's backend, alive; test/run looks whether it ends with the editor.
vim.cmd("CodeSearchStatus")
vim.wait(5000, function()
  return backend.pid(root) ~= nil
end)
vim.fn.writefile({ tostring(backend.pid(root)) }, top .. "/pid")

out(failures == 0 and "all well" or failures .. " failed")
vim.cmd(failures == 0 and "qall!" or "cquit!")
