-- What every format shares: numbers the captions of tables and figures, fills the references to them, names Word's styles.
-- A table stands in a Div "tbl-x" and a figure in an image "fig-x"; an empty link to either becomes "Table 3" or "Figure 2".

local words, names, counts = {}, {}, { tbl = 0, fig = 0 }
local kind_of = { tbl = "table", fig = "figure" }

local function number(identifier)
  local kind = identifier:match("^(%a+)-")
  counts[kind] = counts[kind] + 1
  names[identifier] = words[kind_of[kind]] .. "\u{a0}" .. counts[kind]
  return pandoc.Strong({ pandoc.Str(names[identifier] .. ".") })
end

local function with_number(blocks, identifier)
  local inlines = pandoc.utils.blocks_to_inlines(blocks)
  inlines:insert(1, pandoc.Space())
  inlines:insert(1, number(identifier))
  return inlines
end

local function fit(tbl, width)
  local total = 0
  for _, spec in ipairs(tbl.colspecs) do total = total + (spec[2] or 0) end
  tbl.colspecs = tbl.colspecs:map(function(spec) return { spec[1], total > 0 and spec[2] / total * width or nil } end)
end

local function number_table(div)
  local out = pandoc.Blocks({})
  for _, block in ipairs(div.content) do
    if block.t == "Table" then
      block.caption.long = { pandoc.Plain(with_number(block.caption.long, div.identifier)) }
      block.attr = pandoc.Attr(div.identifier, div.classes)
      fit(block, tonumber(div.attributes.width or "1"))
    end
    out:insert(block)
  end
  return out
end

local function number_figure(figure)
  local caption = with_number(figure.caption.long, figure.identifier)
  figure.caption.long = { pandoc.Plain(caption) }
  return figure
end

local function collect(meta)
  words = { table = pandoc.utils.stringify(meta["word-table"]), figure = pandoc.utils.stringify(meta["word-figure"]) }
end

local function fill(link)
  local name = names[link.target:sub(2)]
  if #link.content == 0 and name then
    link.content = { pandoc.Str(name) }
    return link
  end
end

local tones = { good = "Light good", fair = "Light fair", bad = "Light bad", open = "Light open" }

local function light(span)
  if not span.classes:includes("light") then return nil end
  for tone, style in pairs(tones) do
    if span.classes:includes(tone) then
      span.attributes["custom-style"] = style
      return span
    end
  end
end

local function styled(div)
  local style = { note = "Table Note", gap = "Gap", verdict = "Verdict", howto = "Verdict Note", early = "Early" }
  for class, name in pairs(style) do
    if div.classes:includes(class) then
      div.attributes["custom-style"] = name
      return div
    end
  end
end

return {
  { Meta = collect },
  { Span = function(span) if span.classes:includes("again") and not FORMAT:match("html") then return {} end end },
  { Span = light },
  -- Top-down, so that a table's Div is seen before the note inside it.
  { traverse = "topdown",
    Div = function(div) if div.identifier:match("^tbl%-") then return number_table(div) end end,
    Figure = function(figure) if figure.identifier:match("^fig%-") then return number_figure(figure) end end },
  { Link = fill },
  { Div = styled },
}
