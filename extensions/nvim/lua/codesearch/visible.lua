-- Text of a repository on one line, shown as data: controls, and what turns the direction of writing, show as what they are.

-- U+200B–U+200F, U+2028–U+202E, U+2060–U+2069, U+FEFF and U+061C, as UTF-8.
local STEERING = {
  ["\226\128[\139-\143\168-\174]"] = true,
  ["\226\129[\160-\169]"] = true,
  ["\239\187\191"] = true,
  ["\216\156"] = true,
  -- C1 controls.
  ["\194[\128-\159]"] = true,
}

return function(text)
  text = text:gsub("%s+", " ")
  for pattern in pairs(STEERING) do
    text = text:gsub(pattern, "\239\191\189")
  end
  return (text:gsub("[%z\1-\31\127]", function(control)
    return control == "\127" and "^?" or "^" .. string.char(control:byte() + 64)
  end))
end
