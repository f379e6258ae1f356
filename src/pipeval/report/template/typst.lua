-- What only the PDF does with the marks of the Markdown: which blocks stay together, pages on their side, verdict lights.
-- Runs after captions.lua, which dissolved the Divs of tables: a table is followed by its note.

local UPRIGHT = 112 -- characters of table text side by side on an upright page, as in pipes.py
local SIDE = 170 -- and on its side
local WHOLE = 36 -- lines up to which a table stays on one page
local TALLEST = 25 -- lines after which a row may break across pages, or it would not fit on one

local function raw(text) return pandoc.RawBlock("typst", text) end

local function typst(inlines)
  return (pandoc.write(pandoc.Pandoc({ pandoc.Plain(inlines) }), "typst"):gsub("%s+$", ""))
end

local function quoted(text) return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"') .. '"' end

local function is_div(block, class) return block ~= nil and block.t == "Div" and block.classes:includes(class) end

local function is_exhibit(block) return block ~= nil and (block.t == "Figure" or (block.t == "Table" and block.identifier ~= "")) end

local function is_wide(block) return block ~= nil and block.t == "Table" and block.classes:includes("wide") end

local function light(span)
  for _, tone in ipairs({ "good", "fair", "bad", "open" }) do
    if span.classes:includes("light") and span.classes:includes(tone) then
      return { pandoc.RawInline("typst", '#light("' .. tone .. '")[' .. typst(span.content) .. "]") }
    end
  end
end

-- The lines of a table as it is set, and those of its tallest row: cells wrap within the part of the page that is theirs.
local function lines(tbl)
  local page = tbl.classes:includes("wide") and SIDE or UPRIGHT
  local total, tallest = 0, 0
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do
      local tall = 1
      for i, cell in ipairs(row.cells) do
        local room = math.max(4, (tbl.colspecs[i][2] or 1 / #tbl.colspecs) * page - 2)
        tall = math.max(tall, math.ceil((utf8.len(pandoc.utils.stringify(cell.contents)) or 0) / room))
      end
      total, tallest = total + tall, math.max(tallest, tall)
    end
  end
  return total, tallest
end

local function figure(block)
  local image, alt
  block:walk({ Image = function(i) image, alt = i, i.attributes.alt or pandoc.utils.stringify(i.caption) end })
  local caption = pandoc.utils.blocks_to_inlines(block.caption.long)
  return raw("#figure(image(" .. quoted(image.src) .. ", width: 100%, alt: " .. quoted(alt) .. "), kind: image, caption: ["
    .. typst(caption) .. "]) <" .. block.identifier .. ">")
end

-- A figure or a short table and its note are one block; a long table breaks between rows, and starts where several rows fit.
local function exhibit(block, note)
  local whole, tallest = block.t == "Figure", 0
  if block.t == "Table" then
    local count
    count, tallest = lines(block)
    whole = count <= WHOLE
  end
  local out = pandoc.Blocks({ raw(whole and "#whole[" or "#room\n#[") })
  if not whole and tallest > TALLEST then out:insert(raw("#set table.cell(breakable: true)")) end
  out:insert(block.t == "Figure" and figure(block) or block)
  if note then out:insert(raw("#note[" .. typst(pandoc.utils.blocks_to_inlines(note.content)) .. "]")) end
  out:insert(raw("]"))
  return out
end

-- What would be left behind at the foot of the page: the headings and the paragraph that lead to what follows.
local function leading(out)
  local taken = pandoc.Blocks({})
  if #out > 0 and out[#out].t == "Para" and #out > 1 and out[#out - 1].t == "Header" then taken:insert(1, out:remove()) end
  while #out > 0 and out[#out].t == "Header" do taken:insert(1, out:remove()) end
  return taken
end

local function set_exhibits(blocks, top)
  local out, sideways = pandoc.Blocks({}), nil
  for i, block in ipairs(blocks) do
    local note = is_exhibit(block) and is_div(blocks[i + 1], "note") and blocks[i + 1] or nil
    if is_exhibit(block) then
      if top and is_wide(block) and not sideways then
        local led = leading(out)
        out:insert(raw("#page(flipped: true)["))
        out:extend(led)
        sideways = true
      end
      out:extend(exhibit(block, note))
      local after = blocks[i + (note and 2 or 1)]
      if sideways and not is_wide(after) then
        out:insert(raw("]"))
        sideways = nil
      end
    elseif is_div(block, "note") and is_exhibit(blocks[i - 1]) then
      -- set with the exhibit above
    elseif block.t == "Para" and is_exhibit(blocks[i + 1]) and not (top and is_wide(blocks[i + 1])) then
      out:extend({ raw("#block(sticky: true)["), block, raw("]") })
    else
      out:insert(block)
    end
  end
  return out
end

-- Folds are for the screen: their content stands where they stood.
local function unfolded(blocks)
  local out = pandoc.Blocks({})
  for _, block in ipairs(blocks) do
    if is_div(block, "fold") then out:extend(unfolded(block.content)) else out:insert(block) end
  end
  return out
end

-- Blocks that have a function of their own name in report.typ.
local function styled(div)
  for _, class in ipairs({ "note", "gap", "verdict", "howto", "early" }) do
    if div.classes:includes(class) then
      local inner = pandoc.Blocks({ raw("#" .. class .. "[") })
      inner:extend(set_exhibits(div.content, false))
      inner:insert(raw("]"))
      return inner
    end
  end
end

-- What was asked and the answer, then the verdicts: all that stands before the contents is set to fit on the first page.
local function first_page(blocks)
  local last
  for i, block in ipairs(blocks) do
    if is_div(block, "contents") then last = i end
  end
  if not last then return blocks end
  local out = pandoc.Blocks({ raw("#front[") })
  for i, block in ipairs(blocks) do
    local asked = block.t == "Para" and i < last and i > 1 and blocks[i - 1].t == "Header"
    if asked then out:insert(raw("#asked[\n")) end
    if i == last then out:extend({ raw("]"), raw("#contents") }) else out:insert(block) end
    if asked then out:insert(raw("]")) end
  end
  return out
end

local function start(doc)
  local blocks = unfolded(doc.blocks)
  local front, rest, before = pandoc.Blocks({}), pandoc.Blocks({}), false
  for _, block in ipairs(blocks) do before = before or is_div(block, "contents") end
  for _, block in ipairs(blocks) do
    if block.t == "Header" and block.identifier == "sec-annexes" then rest:insert(raw("#show: annex")) end
    if before then front:insert(block) else rest:insert(block) end
    if is_div(block, "contents") then before = false end
  end
  doc.blocks = set_exhibits(first_page(front), false)
  doc.blocks:extend(set_exhibits(rest, true))
  return doc:walk({ Div = styled })
end

return { { Span = light }, { Pandoc = start } }
