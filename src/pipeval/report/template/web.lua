-- What only the HTML report does with the marks of the Markdown: headings of cells, folded details, regions that scroll.

local LARGEST = 22 -- characters after which a cell may wrap before its table scrolls

local function raw(html) return pandoc.RawBlock("html", html) end

local function html(inlines) return (pandoc.write(pandoc.Pandoc({ pandoc.Plain(inlines) }), "html"):gsub("%s+$", "")) end

local function said(cell) return pandoc.utils.stringify(cell.contents) end

local function each_row(tbl, visit)
  for _, row in ipairs(tbl.head.rows) do visit(row, true) end
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do visit(row, false) end
  end
end

-- An interval in brackets after a number stays on one line.
local function keep(cell)
  local inside = false
  cell.contents = cell.contents:walk({
    Inlines = function(inlines)
      for i, inline in ipairs(inlines) do
        if inline.t == "Str" and inline.text:match("^%(") then inside = true end
        if inside and inline.t == "Space" then inlines[i] = pandoc.Str("\u{a0}") end
        if inline.t == "Str" and inline.text:match("%)$") then inside = false end
      end
      return inlines
    end,
  })
end

-- The first column names its row when it is text and no cell of it is empty.
local function names_rows(tbl)
  if #tbl.colspecs < 2 or tbl.colspecs[1][1] == "AlignRight" then return false end
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do
      if not row.cells[1] or said(row.cells[1]) == "" then return false end
    end
  end
  return true
end

local function head_cells(tbl)
  local named = names_rows(tbl)
  each_row(tbl, function(row, head)
    for i, cell in ipairs(row.cells) do
      if head then cell.attributes.scope = "col" end
      if not head and tbl.colspecs[i] and tbl.colspecs[i][1] == "AlignRight" then keep(cell) end
      if named and not head and i == 1 then cell.attributes.scope = "row" end
    end
  end)
  for _, body in ipairs(tbl.bodies) do body.row_head_columns = named and 1 or 0 end
end

-- Widths: each column's part of the table, the table's part of the page, and the characters below which it scrolls.
local function fit(tbl)
  local total, need = 0, {}
  for _, spec in ipairs(tbl.colspecs) do total = total + (spec[2] or 0) end
  each_row(tbl, function(row)
    for i, cell in ipairs(row.cells) do
      local text, longest = said(cell), 3
      for word in text:gmatch("%S+") do longest = math.max(longest, utf8.len(word) or #word) end
      need[i] = math.max(need[i] or 3, longest, math.min(utf8.len(text) or #text, LARGEST))
    end
  end)
  local least = 0
  for _, length in ipairs(need) do least = least + length + 2 end
  tbl.colspecs = tbl.colspecs:map(function(spec) return { spec[1], total > 0 and spec[2] / total or nil } end)
  tbl.attributes.style = string.format("--part:%.0f%%;--least:%dch", total > 0 and math.min(total, 1) * 100 or 100, least)
end

-- Where a table is wider than the screen, report.js makes this a region that scrolls, named by the caption.
local function region(tbl, label)
  local wide = tbl.classes:includes("wide") and " wide" or ""
  return pandoc.Blocks({
    raw(string.format('<div class="scroll%s" data-name="%s">', wide, label)), tbl, raw("</div>"),
  })
end

local function table_of(tbl, folded)
  local label = "name-" .. tbl.identifier
  head_cells(tbl)
  fit(tbl)
  local caption = pandoc.utils.blocks_to_inlines(tbl.caption.long)
  if not folded then
    tbl.caption.long = { pandoc.Plain({ pandoc.Span(caption, pandoc.Attr(label)) }) }
    return region(tbl, label)
  end
  tbl.caption.long = {}
  tbl.attributes["aria-labelledby"] = label
  return region(tbl, label), string.format('<summary><span id="%s">%s</span></summary>', label, html(caption))
end

local function figure_of(figure, folded)
  local label = "name-" .. figure.identifier
  figure = figure:walk({
    Image = function(image)
      image.caption = { pandoc.Str(image.attributes.alt or pandoc.utils.stringify(image.caption)) }
      image.attributes.alt, image.attributes.width = nil, nil
      return image
    end,
  })
  if not folded then return pandoc.Blocks({ figure }) end
  local caption = pandoc.utils.blocks_to_inlines(figure.caption.long)
  figure.caption.long = {}
  figure.attributes["aria-labelledby"] = label
  return pandoc.Blocks({ figure }), string.format('<summary><span id="%s">%s</span></summary>', label, html(caption))
end

local function is_note(block) return block and block.t == "Div" and block.classes:includes("note") end

local function exhibit(block, folded)
  if block.t == "Table" and block.identifier ~= "" then return table_of(block, folded) end
  if block.t == "Figure" then return figure_of(block, folded) end
end

-- Each numbered table or figure of folded detail opens by itself, its note with it; the caption is what is pressed.
local function fold(div)
  local out, open = pandoc.Blocks({}), false
  local function close()
    if open then out:insert(raw("</details>")) end
    open = false
  end
  for _, block in ipairs(div.content) do
    local blocks, summary = exhibit(block, true)
    if not (open and is_note(block)) then close() end
    if summary then
      out:insert(raw('<details class="fold">' .. summary))
      open = true
    end
    out:extend(blocks or { block })
  end
  close()
  return out
end

-- The first page: what was asked and the answer are set apart from the text that follows.
local function first_page(doc)
  for i, block in ipairs(doc.blocks) do
    if block.t == "Header" and block.identifier == "sec-summary" then
      local asked, answer = doc.blocks[i + 1], doc.blocks[i + 2]
      if asked and asked.t == "Para" then doc.blocks[i + 1] = pandoc.Div(asked, pandoc.Attr("", { "asked" })) end
      if answer and answer.t == "BulletList" then doc.blocks[i + 2] = pandoc.Div(answer, pandoc.Attr("", { "answer" })) end
      return doc
    end
  end
end

local function plain(element)
  element.attributes["custom-style"] = nil
  return element
end

local function top_down(div)
  if div.classes:includes("contents") then return {} end
  if div.classes:includes("fold") then return fold(div), false end
end

return {
  { Pandoc = first_page },
  { Span = plain, Div = plain },
  { traverse = "topdown", Div = top_down, Table = function(t) return exhibit(t), false end, Figure = function(f) return exhibit(f), false end },
}
