// One item of a CBOR document (RFC 8949) at a time, decoded by libcbor without an allocation.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
  CCBOR_UNSIGNED = 0,
  CCBOR_NEGATIVE, // the value is -1 - number
  CCBOR_BYTES,
  CCBOR_TEXT,
  CCBOR_ARRAY,
  CCBOR_MAP,
  CCBOR_TAG,
  CCBOR_FLOAT,
  CCBOR_BOOL,
  CCBOR_NULL, // or undefined
  CCBOR_BREAK,
};

typedef struct {
  uint64_t number; // an integer, a tag, or how many elements or pairs a container has
  double real;
  size_t offset; // where text or bytes stand, counted from `base`
  size_t length;
  size_t next; // where the next item begins, counted from `base`
  uint8_t kind;
  uint8_t width;         // bytes of a float: 2, 4 or 8
  uint8_t is_indefinite; // a container or text whose end is a break
} ccbor_item;

// Decodes the item at base[start ..< end]. Returns 0, or -1 where it is none or cut off.
int ccbor_next(const uint8_t *base, size_t start, size_t end, ccbor_item *item);
