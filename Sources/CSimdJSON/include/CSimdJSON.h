// A JSON document as one flat list of nodes that point into its own bytes.
//
// simdjson does the parsing (structure, UTF-8, escapes, literals); the list is what Swift walks, so
// that decoders are written in Swift, read numbers from their digits, and copy nothing.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CSJ_NULL = 0,
  CSJ_FALSE,
  CSJ_TRUE,
  CSJ_NUMBER,
  CSJ_STRING,
  CSJ_ARRAY,
  CSJ_OBJECT,
};

enum { CSJ_VALUE_ESCAPED = 1, CSJ_KEY_ESCAPED = 2 };

enum {
  CSJ_OK = 0,
  CSJ_EMPTY,      // no document at all
  CSJ_TOO_DEEP,   // nested deeper than asked for
  CSJ_UTF8,       // invalid UTF-8
  CSJ_TRAILING,   // something follows the document: perhaps newline-delimited documents
  CSJ_NUMBER_BAD, // not a number of RFC 8259
  CSJ_STRING_BAD, // an escape that RFC 8259 does not have, or a lone surrogate
  CSJ_SYNTAX,     // anything else that is no JSON
};

// Offsets count from the `base` given to csj_parse.
typedef struct {
  uint32_t key_offset;  // between the quotes; length 0 and offset 0 outside an object
  uint32_t key_length;
  uint32_t offset;      // a string between its quotes, a number's digits, a container with brackets
  uint32_t length;
  uint32_t next;        // index of the node after this value and all it contains
  uint8_t type;
  uint8_t flags;
  uint16_t depth;
} csj_node;

typedef struct csj_parser csj_parser;

csj_parser *csj_parser_new(void);
void csj_parser_free(csj_parser *parser);

// Bytes that must be readable behind a document.
size_t csj_padding(void);

// Parses base[start ..< start + length]. The nodes belong to the parser and live until its next
// call. On an error *error_offset is the place, counted from base, where it is known. Unless
// `checks_escapes`, the escapes of values are left to csj_unescape to check.
int csj_parse(csj_parser *parser, const uint8_t *base, size_t start, size_t length,
              uint16_t max_depth, int checks_escapes, const csj_node **nodes, size_t *count,
              size_t *error_offset);

// Resolves the escapes of a string of the document, up to its closing quote. `destination` holds as
// many bytes as the string, and csj_padding() more. Returns the length written, or -1 where an
// escape is none of RFC 8259 or a surrogate is alone.
ptrdiff_t csj_unescape(csj_parser *parser, const uint8_t *source, uint8_t *destination);

// Copies the text of a string that begins at `source`, just after its opening quote, and resolves its
// escapes of two characters. Returns what follows the closing quote; NULL where there is none before
// `end`, or the text holds anything but ASCII and such escapes: then csj_parse is to look at it.
// Thirty-two bytes behind `end` are readable, and `destination` holds as many bytes as the string, and
// thirty-two more.
const uint8_t *csj_copy_plain_string(const uint8_t *source, const uint8_t *end,
                                     uint8_t *destination, size_t *length);

#ifdef __cplusplus
}
#endif
