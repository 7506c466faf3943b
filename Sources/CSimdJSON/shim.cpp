// Walks a document with simdjson's on-demand parser and writes down every value as a node.
#include "CSimdJSON.h"

#include <algorithm>
#include <cstring>
#include <simdjson.h>
#include <utility>
#include <vector>

using namespace simdjson;

struct csj_parser {
  ondemand::parser parser;
  std::vector<csj_node> nodes;
  const uint8_t *base = nullptr;
  const uint8_t *end = nullptr;
  uint16_t max_depth = 0;
  bool checks_escapes = true;
  const uint8_t *error_at = nullptr;
  // Where the last value that is complete ends.
  const uint8_t *last_end = nullptr;
};

namespace {

// Sixteen bytes at a time, in the vectors of the compiler, which every processor has in some form.
// Reading past a closing quote stays within the padding.
typedef uint8_t bytes16 __attribute__((ext_vector_type(16)));
typedef bool bits16 __attribute__((ext_vector_type(16)));

inline bytes16 load16(const uint8_t *at) {
  bytes16 bytes;
  std::memcpy(&bytes, at, 16);
  return bytes;
}

// One bit for each byte for which a comparison holds, the first byte's lowest.
template <typename Comparison> inline uint32_t marks(Comparison comparison) {
  const bits16 bits = __builtin_convertvector(comparison, bits16);
  uint16_t marks;
  std::memcpy(&marks, &bits, 2);
  return marks;
}

// The first quote or backslash at or behind `at`.
inline const uint8_t *quote_or_backslash(const uint8_t *at) {
  for (;; at += 16) {
    const bytes16 bytes = load16(at);
    const uint32_t found = marks((bytes == '"') | (bytes == '\\'));
    if (found != 0) return at + __builtin_ctz(found);
  }
}

// Length of the string that begins at `text`, just after its opening quote. simdjson's first stage
// has found its end and its UTF-8 to be good.
size_t string_length(const uint8_t *text, bool &escaped) {
  const uint8_t *at = quote_or_backslash(text);
  escaped = *at == '\\';
  while (*at == '\\') at = quote_or_backslash(at + 2);
  return size_t(at - text);
}

// Value of the four hexadecimal digits at `at`, or -1.
int hex4(const uint8_t *at) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    const uint8_t lower = at[i] | 0x20;
    if (uint8_t(at[i] - '0') < 10) value = value * 16 + (at[i] - '0');
    else if (uint8_t(lower - 'a') < 6) value = value * 16 + (lower - 'a' + 10);
    else return -1;
  }
  return value;
}

// Whether every escape is one of RFC 8259, section 7, and surrogates come in pairs: what simdjson
// checks when it resolves a string, without resolving strings that nobody asks for.
bool escapes_are_valid(const uint8_t *text, size_t length) {
  const uint8_t *end = text + length;
  for (const uint8_t *at = text;;) {
    at = quote_or_backslash(at);
    if (at >= end) return true;
    switch (at[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't': at += 2; continue;
    case 'u': break;
    default: return false;
    }
    const int code = end - at >= 6 ? hex4(at + 2) : -1;
    if (code < 0 || (code >= 0xDC00 && code < 0xE000)) return false;
    at += 6;
    if (code < 0xD800 || code >= 0xE000) continue;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return false;
    const int low = hex4(at + 2);
    if (low < 0xDC00 || low >= 0xE000) return false;
    at += 6;
  }
}

inline bool is_digit(uint8_t byte) { return uint8_t(byte - '0') < 10; }

inline bool is_blank(uint8_t byte) {
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

inline const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end) {
  while (at < end && is_digit(*at)) at++;
  return at;
}

// The end of a number of RFC 8259, section 6, or null. What follows must end the token; a document
// that is a number ends with it, whatever stands behind.
const uint8_t *number_end(const uint8_t *at, const uint8_t *end) {
  if (at < end && *at == '-') at++;
  if (at == end || !is_digit(*at)) return nullptr;
  at = *at == '0' ? at + 1 : skip_digits(at, end);
  if (at < end && *at == '.') {
    const uint8_t *fraction = at + 1;
    at = skip_digits(fraction, end);
    if (at == fraction) return nullptr;
  }
  if (at < end && (*at | 0x20) == 'e') {
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    const uint8_t *exponent = at;
    at = skip_digits(exponent, end);
    if (at == exponent) return nullptr;
  }
  if (at == end || is_blank(*at) || *at == ',' || *at == ']' || *at == '}') return at;
  return nullptr;
}

int code_of(error_code error) {
  switch (error) {
  case SUCCESS: return CSJ_OK;
  case EMPTY: return CSJ_EMPTY;
  case DEPTH_ERROR: return CSJ_TOO_DEEP;
  case UTF8_ERROR: return CSJ_UTF8;
  case STRING_ERROR: return CSJ_STRING_BAD;
  default: return CSJ_SYNTAX;
  }
}

class Walk {
public:
  Walk(csj_parser &owner, ondemand::document &document) : owner(owner), document(document) {}

  // By reference: a copy would be read in one piece right after its parts were written, which the
  // processor cannot forward.
  int value(ondemand::value &value, const uint8_t *key, size_t key_length, uint8_t flags,
            uint16_t depth) {
    const size_t index = owner.nodes.size();
    const uint8_t *start = nullptr;
    ondemand::json_type type;
    if (auto error = value.type().get(type)) return code_of(error);
    if (type != ondemand::json_type::object && type != ondemand::json_type::array) {
      std::string_view token = value.raw_json_token();
      start = reinterpret_cast<const uint8_t *>(token.data());
      if (!is_inside(start)) return CSJ_SYNTAX;
    }
    add_node(key ? size_t(key - owner.base) : 0, key_length, flags, depth);
    int code = CSJ_OK;
    switch (type) {
    case ondemand::json_type::object: code = object(value, index, depth); break;
    case ondemand::json_type::array: code = array(value, index, depth); break;
    case ondemand::json_type::string: code = string(value, start, index); break;
    case ondemand::json_type::number: code = number(start, index); break;
    default: code = literal(value, start, index);
    }
    owner.nodes[index].next = uint32_t(owner.nodes.size());
    if (code != CSJ_OK && owner.error_at == nullptr) owner.error_at = start;
    return code;
  }

  // A document that is a lone string, number or literal: simdjson hands those out by other calls,
  // which do not look at what follows.
  int lone_scalar() {
    std::string_view token;
    if (document.raw_json_token().get(token)) return CSJ_SYNTAX;
    const uint8_t *start = reinterpret_cast<const uint8_t *>(token.data());
    add_node(0, 0, 0, 0);
    owner.nodes[0].next = 1;
    int code = CSJ_OK;
    switch (*start) {
    case '"': code = lone_string(start); break;
    case 't': code = lone_literal(start, CSJ_TRUE, "true"); break;
    case 'f': code = lone_literal(start, CSJ_FALSE, "false"); break;
    case 'n': code = lone_literal(start, CSJ_NULL, "null"); break;
    default: code = number(start, 0);
    }
    if (code != CSJ_OK) return code;
    const uint8_t *at = owner.last_end;
    while (at < owner.end && is_blank(*at)) at++;
    if (at == owner.end) return CSJ_OK;
    owner.error_at = at;
    return CSJ_TRAILING;
  }

private:
  csj_parser &owner;
  ondemand::document &document;

  // Field by field: a node made elsewhere and copied would be read before its parts are written.
  void add_node(size_t key_offset, size_t key_length, uint8_t flags, uint16_t depth) {
    owner.nodes.emplace_back();
    csj_node &node = owner.nodes.back();
    node.key_offset = uint32_t(key_offset);
    node.key_length = uint32_t(key_length);
    node.flags = flags;
    node.depth = depth;
  }

  void place(size_t index, uint8_t type, const uint8_t *start, const uint8_t *end) {
    csj_node &node = owner.nodes[index];
    node.type = type;
    node.offset = uint32_t(start - owner.base);
    node.length = uint32_t(end - start);
    owner.last_end = end;
  }

  // Whether a token is the document's own. Where one is cut off, simdjson takes the byte behind it
  // for the next token, and nobody has found the end of a string that begins there.
  bool is_inside(const uint8_t *token) const { return token < owner.end; }

  // A container ends just before the next token, but for blanks and a comma. Where the bracket
  // found that way belongs to a child, simdjson took what stands behind the document for the
  // container's own: the document is cut off.
  int close(size_t index, uint8_t type, const uint8_t *start, uint8_t bracket) {
    const uint8_t *at = location();
    while (at > start && *(at - 1) != bracket) at--;
    if (at <= start || at - 1 < owner.last_end) return CSJ_SYNTAX;
    place(index, type, start, at);
    return CSJ_OK;
  }

  const uint8_t *location() {
    const char *at = nullptr;
    if (document.current_location().get(at) != SUCCESS) return owner.end;
    return reinterpret_cast<const uint8_t *>(at);
  }

  int object(ondemand::value &value, size_t index, uint16_t depth) {
    if (depth >= owner.max_depth) return CSJ_TOO_DEEP;
    const uint8_t *start = location();
    if (!is_inside(start)) return CSJ_SYNTAX;
    ondemand::object members;
    if (auto error = value.get_object().get(members)) return code_of(error);
    for (auto result : members) {
      ondemand::field field;
      if (auto error = std::move(result).get(field)) return code_of(error);
      const uint8_t *key = reinterpret_cast<const uint8_t *>(field.key().raw());
      if (!is_inside(key)) return CSJ_SYNTAX;
      bool escaped;
      const size_t length = string_length(key, escaped);
      if (escaped && !escapes_are_valid(key, length)) return CSJ_STRING_BAD;
      const int code = this->value(field.value(), key, length, escaped ? CSJ_KEY_ESCAPED : 0,
                                   uint16_t(depth + 1));
      if (code != CSJ_OK) return code;
    }
    return close(index, CSJ_OBJECT, start, '}');
  }

  int array(ondemand::value &value, size_t index, uint16_t depth) {
    if (depth >= owner.max_depth) return CSJ_TOO_DEEP;
    const uint8_t *start = location();
    if (!is_inside(start)) return CSJ_SYNTAX;
    ondemand::array elements;
    if (auto error = value.get_array().get(elements)) return code_of(error);
    for (auto result : elements) {
      ondemand::value element;
      if (auto error = std::move(result).get(element)) return code_of(error);
      const int code = this->value(element, nullptr, 0, 0, uint16_t(depth + 1));
      if (code != CSJ_OK) return code;
    }
    return close(index, CSJ_ARRAY, start, ']');
  }

  // A string must be consumed: simdjson takes one that is stepped over for a key when a colon
  // follows. Numbers are read from their token and stepped over.
  int string(ondemand::value &value, const uint8_t *token, size_t index) {
    ondemand::raw_json_string raw;
    if (auto error = value.get_raw_json_string().get(raw)) return code_of(error);
    const uint8_t *end = quote_or_backslash(token + 1);
    if (*end == '"') return string(token, end, false, index);
    // Where there are many escapes, the end is found sooner from behind: between the closing quote
    // and the next token are only blanks.
    end = std::min(location(), owner.end) - 1;
    while (is_blank(*end)) end--;
    return string(token, end, true, index);
  }

  int lone_string(const uint8_t *token) {
    bool escaped;
    const size_t length = string_length(token + 1, escaped);
    return string(token, token + 1 + length, escaped, 0);
  }

  int string(const uint8_t *token, const uint8_t *quote, bool escaped, size_t index) {
    place(index, CSJ_STRING, token + 1, quote);
    owner.last_end = quote + 1;
    if (!escaped) return CSJ_OK;
    owner.nodes[index].flags |= CSJ_VALUE_ESCAPED;
    if (!owner.checks_escapes || escapes_are_valid(token + 1, size_t(quote - token - 1)))
      return CSJ_OK;
    return CSJ_STRING_BAD;
  }

  int number(const uint8_t *token, size_t index) {
    const uint8_t *end = number_end(token, owner.end);
    if (end == nullptr) return CSJ_NUMBER_BAD;
    place(index, CSJ_NUMBER, token, end);
    return CSJ_OK;
  }

  int literal(ondemand::value &value, const uint8_t *token, size_t index) {
    bool isTrue = false;
    if (value.get_bool().get(isTrue) == SUCCESS) {
      place(index, isTrue ? CSJ_TRUE : CSJ_FALSE, token, token + (isTrue ? 4 : 5));
      return CSJ_OK;
    }
    bool isNull = false;
    if (value.is_null().get(isNull) != SUCCESS || !isNull) return CSJ_SYNTAX;
    place(index, CSJ_NULL, token, token + 4);
    return CSJ_OK;
  }

  int lone_literal(const uint8_t *token, uint8_t type, std::string_view text) {
    const size_t rest = size_t(owner.end - token);
    if (rest < text.size() || std::memcmp(token, text.data(), text.size()) != 0) return CSJ_SYNTAX;
    if (rest > text.size() && !is_blank(token[text.size()])) return CSJ_SYNTAX;
    place(0, type, token, token + text.size());
    return CSJ_OK;
  }

};

} // namespace

csj_parser *csj_parser_new(void) { return new csj_parser; }
void csj_parser_free(csj_parser *parser) { delete parser; }
size_t csj_padding(void) { return SIMDJSON_PADDING; }

int csj_parse(csj_parser *parser, const uint8_t *base, size_t start, size_t length,
              uint16_t max_depth, int checks_escapes, const csj_node **nodes, size_t *count,
              size_t *error_offset) {
  parser->nodes.clear();
  parser->checks_escapes = checks_escapes != 0;
  parser->base = base;
  parser->end = base + start + length;
  parser->max_depth = max_depth;
  parser->error_at = nullptr;
  parser->last_end = base + start;
  *nodes = nullptr;
  *count = 0;
  *error_offset = start;
  ondemand::document document;
  padded_string_view view(reinterpret_cast<const char *>(base + start), length,
                          length + SIMDJSON_PADDING);
  if (auto error = parser->parser.iterate(view).get(document)) return code_of(error);
  Walk walk(*parser, document);
  ondemand::value root;
  const error_code shape = document.get_value().get(root);
  const bool is_scalar = shape == SCALAR_DOCUMENT_AS_VALUE;
  if (shape != SUCCESS && !is_scalar) return code_of(shape);
  int code = is_scalar ? walk.lone_scalar() : walk.value(root, nullptr, 0, 0, 0);
  const char *at = nullptr;
  if (code == CSJ_OK && !is_scalar && document.current_location().get(at) == SUCCESS)
    code = CSJ_TRAILING;
  if (code != CSJ_OK) {
    if (parser->error_at == nullptr && document.current_location().get(at) == SUCCESS)
      parser->error_at = reinterpret_cast<const uint8_t *>(at);
    if (parser->error_at != nullptr && parser->error_at <= parser->end)
      *error_offset = size_t(parser->error_at - base);
    return code;
  }
  *nodes = parser->nodes.data();
  *count = parser->nodes.size();
  return CSJ_OK;
}

ptrdiff_t csj_unescape(csj_parser *parser, const uint8_t *source, uint8_t *destination) {
  uint8_t *end = destination;
  if (parser->parser.unescape(ondemand::raw_json_string(source), end).error() != SUCCESS) return -1;
  return end - destination;
}

// What the second character of an escape stands for; 0 where it is none of two characters.
static const struct Escapes {
  uint8_t meaning[256] = {};
  constexpr Escapes() {
    for (uint8_t itself : {'"', '\\', '/'}) meaning[itself] = itself;
    meaning['n'] = '\n';
    meaning['t'] = '\t';
    meaning['r'] = '\r';
    meaning['b'] = '\b';
    meaning['f'] = '\f';
  }
} escapes;

// Copies sixteen bytes but for the backslashes among them: what stands between two is copied in one
// piece, with more behind it that is written over. Of a payload within a capture every fifth byte is a
// backslash, now here, now there: so at least three pieces, and mostly no branch.
static inline void copy_without(uint32_t backslashes, const uint8_t *source, uint8_t *&to) {
  int from = 0;
  for (int piece = 0; piece < 3 || backslashes != 0 || from < 16; piece++) {
    const bytes16 bytes = load16(source + from);
    std::memcpy(to, &bytes, 16);
    const int until = __builtin_ctz(backslashes | 1u << 16);
    to += until - from;
    from = std::min(until + 1, 16);
    backslashes &= backslashes - 1;
  }
}

const uint8_t *csj_copy_plain_string(const uint8_t *source, const uint8_t *end,
                                     uint8_t *destination, size_t *length) {
  uint8_t *to = destination;
  // Whether the last block ended with a backslash, so that this one begins with what it escapes.
  uint32_t carried = 0;
  while (source < end) {
    const bytes16 bytes = load16(source);
    const uint32_t quotes = marks(bytes == '"');
    const uint32_t backslashes = marks(bytes == '\\');
    const uint32_t others = marks((bytes < 0x20) | (bytes > 0x7F));
    const uint32_t escaped = backslashes << 1 | carried;
    if ((others | (quotes ^ (escaped & 0xFFFF))) == 0) {
      copy_without(backslashes, source, to);
      carried = backslashes >> 15;
      source += 16;
      continue;
    }
    if (carried != 0) {
      source -= 1;
      carried = 0;
      continue;
    }
    std::memcpy(to, &bytes, 16);
    const int plain = __builtin_ctz(quotes | backslashes | others);
    source += plain;
    to += plain;
    if (source >= end) return nullptr;
    if (*source == '"') {
      *length = size_t(to - destination);
      return source + 1;
    }
    if (*source != '\\' || escapes.meaning[source[1]] == 0) return nullptr;
    *to = escapes.meaning[source[1]];
    source += 2;
    to += 1;
  }
  return nullptr;
}
