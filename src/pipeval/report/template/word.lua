-- What only the Word report does with the marks of the Markdown: the title block, fields, signs, pages on their side.
-- Runs after captions.lua. Styles are named, never given by id, for an institution's document has ids in its own language.

local signs = { good = "●", fair = "◐", bad = "◆", open = "○" }
local labels, bookmarks, taken = {}, {}, {}

local function xml(text) return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;")) end

local function inline(text) return pandoc.RawInline("openxml", text) end

local function run(content, properties) return "<w:r>" .. (properties or "") .. content .. "</w:r>" end

local function words(text, properties) return run('<w:t xml:space="preserve">' .. xml(text) .. "</w:t>", properties) end

local function field(instruction, shown, properties)
  return run('<w:fldChar w:fldCharType="begin"/>', properties)
    .. run('<w:instrText xml:space="preserve"> ' .. instruction .. " </w:instrText>", properties)
    .. run('<w:fldChar w:fldCharType="separate"/>', properties)
    .. words(shown, properties) .. run('<w:fldChar w:fldCharType="end"/>', properties)
end

-- Word takes letters, digits and underscores, at most 40 of them; a leading underscore keeps the bookmark out of its list.
local function bookmark(identifier)
  if not bookmarks[identifier] then
    local name, n = ("_Ref_" .. identifier:gsub("%W", "_")):sub(1, 36), 0
    while taken[name] do
      n = n + 1
      name = name:sub(1, 36):gsub("_%d+$", "") .. "_" .. n
    end
    taken[name], bookmarks[identifier] = true, name
  end
  return bookmarks[identifier]
end

-- "Table 3." becomes a bookmark round "Table " and the field that counts, as Word's own "insert caption" writes it.
local function count(caption, identifier)
  local first = caption.long[1] and caption.long[1].content[1]
  if not first or first.t ~= "Strong" then return end
  local number = pandoc.utils.stringify(first):match("(%d+)%.$")
  local label = labels[identifier:match("^%a+")]
  if not number or not label then return end
  local bold, sequence = "<w:rPr><w:b/><w:bCs/></w:rPr>", xml(label:gsub("%s", "_"))
  local inlines = caption.long[1].content
  inlines[1] = inline('<w:bookmarkStart w:id="0" w:name="' .. bookmark(identifier) .. '"/>' .. words(label .. "\u{a0}", bold)
    .. field("SEQ " .. sequence .. " \\* ARABIC", number, bold) .. '<w:bookmarkEnd w:id="0"/>' .. words(".", bold))
  caption.long[1].content = inlines
  return true
end

local function numbered(exhibit)
  local caption = exhibit.caption
  if exhibit.identifier:match("^%a+%-") and count(caption, exhibit.identifier) then
    exhibit.caption = caption
    return exhibit
  end
end

local function refer(link)
  local identifier = link.target:match("^#(%a+%-.*)$")
  if identifier and labels[identifier:match("^%a+")] and #link.content > 0 then
    return inline(field("REF " .. bookmark(identifier) .. " \\h", pandoc.utils.stringify(link.content)))
  end
end

local function sign(span)
  local tone = (span.attributes["custom-style"] or ""):match("^Light (%a+)$")
  if tone then
    span.content:insert(1, pandoc.Str(signs[tone] .. "\u{a0}"))
    return span
  end
end

local function marker(name)
  return pandoc.RawBlock("openxml", '<w:p><w:pPr><w:pStyle w:val="' .. name .. '"/></w:pPr></w:p>')
end

local function is_note(block) return block and block.t == "Div" and block.classes:includes("note") end

-- A wide table, with its note, is marked for a page on its side; tables stand at the top or in a Div.
local function turn(blocks)
  local out, open = pandoc.Blocks({}), false
  for i, block in ipairs(blocks) do
    if block.t == "Table" and block.classes:includes("wide") then
      out:insert(marker("WideStart"))
      open = true
    end
    if block.t == "Div" then block.content = turn(block.content) end
    out:insert(block)
    if open and not is_note(blocks[i + 1]) then
      out:insert(marker("WideEnd"))
      open = false
    end
  end
  return out
end

local function contents(title)
  local start = '<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/><w:docPartUnique/></w:docPartObj>'
  return pandoc.RawBlock("openxml", start .. "</w:sdtPr><w:sdtContent><w:p>" .. words(title) .. "</w:p></w:sdtContent></w:sdt>")
end

local function styled(inlines, style)
  return pandoc.Div({ pandoc.Para(inlines) }, pandoc.Attr("", {}, { ["custom-style"] = style }))
end

local function text(value) return pandoc.utils.stringify(value or "") end

local function facts(list)
  local out = pandoc.Inlines({})
  for i, fact in ipairs(list or {}) do
    if i > 1 then out:insert(pandoc.Str("  ·  ")) end
    out:insert(pandoc.Span({ pandoc.Str(text(fact.name) .. ": ") }, pandoc.Attr("", {}, { ["custom-style"] = "Fact" })))
    out:insert(pandoc.Str(text(fact.value)))
  end
  return out
end

-- Title, stage and facts above the summary, the logo at their right; no page of their own.
local function title_block(meta)
  local title = pandoc.Inlines({ pandoc.Str(text(meta.title)) })
  if text(meta.logo) ~= "" then
    title:insert(1, pandoc.Image({}, text(meta.logo), "logo", pandoc.Attr("", {}, { alt = "" })))
  end
  local out = { styled(title, "Title"), styled({ pandoc.Str(text(meta.subtitle)) }, "Subtitle") }
  local line = facts(meta.facts)
  if #line > 0 then table.insert(out, styled(line, "Title Facts")) end
  return out
end

local function start(doc)
  labels = { tbl = text(doc.meta["word-table"]), fig = text(doc.meta["word-figure"]) }
  local title = text(doc.meta["toc-title"])
  doc = doc:walk({
    Table = numbered,
    Figure = numbered,
    Div = function(div) if div.classes:includes("contents") then return contents(title) end end,
    Link = refer,
    Span = sign,
  })
  doc.blocks = turn(doc.blocks)
  for i, block in ipairs(title_block(doc.meta)) do doc.blocks:insert(i, block) end
  doc.meta = { lang = doc.meta.lang }
  return doc
end

return { { Pandoc = start } }
