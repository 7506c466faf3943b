// Takes what libcbor's streaming decoder calls back with, one item a call.
#include "CCBORItems.h"

#include <cbor.h>

typedef struct {
  const uint8_t *base;
  ccbor_item *item;
} target;

static ccbor_item *set(void *context, uint8_t kind, uint64_t number) {
  ccbor_item *item = ((target *)context)->item;
  item->kind = kind;
  item->number = number;
  return item;
}

static void on_uint8(void *c, uint8_t v) { set(c, CCBOR_UNSIGNED, v); }
static void on_uint16(void *c, uint16_t v) { set(c, CCBOR_UNSIGNED, v); }
static void on_uint32(void *c, uint32_t v) { set(c, CCBOR_UNSIGNED, v); }
static void on_uint64(void *c, uint64_t v) { set(c, CCBOR_UNSIGNED, v); }
static void on_negint8(void *c, uint8_t v) { set(c, CCBOR_NEGATIVE, v); }
static void on_negint16(void *c, uint16_t v) { set(c, CCBOR_NEGATIVE, v); }
static void on_negint32(void *c, uint32_t v) { set(c, CCBOR_NEGATIVE, v); }
static void on_negint64(void *c, uint64_t v) { set(c, CCBOR_NEGATIVE, v); }

static void place(void *context, uint8_t kind, cbor_data data, size_t length) {
  ccbor_item *item = set(context, kind, 0);
  item->offset = (size_t)(data - ((target *)context)->base);
  item->length = length;
}
static void on_bytes(void *c, cbor_data data, size_t length) { place(c, CCBOR_BYTES, data, length); }
static void on_text(void *c, cbor_data data, size_t length) { place(c, CCBOR_TEXT, data, length); }

static void on_array(void *c, size_t count) { set(c, CCBOR_ARRAY, count); }
static void on_map(void *c, size_t count) { set(c, CCBOR_MAP, count); }
static void on_tag(void *c, uint64_t v) { set(c, CCBOR_TAG, v); }

static void on_indefinite_bytes(void *c) { set(c, CCBOR_BYTES, 0)->is_indefinite = 1; }
static void on_indefinite_text(void *c) { set(c, CCBOR_TEXT, 0)->is_indefinite = 1; }
static void on_indefinite_array(void *c) { set(c, CCBOR_ARRAY, 0)->is_indefinite = 1; }
static void on_indefinite_map(void *c) { set(c, CCBOR_MAP, 0)->is_indefinite = 1; }
static void on_break(void *c) { set(c, CCBOR_BREAK, 0); }

static void real(void *context, double value, uint8_t width) {
  ccbor_item *item = set(context, CCBOR_FLOAT, 0);
  item->real = value;
  item->width = width;
}
static void on_float2(void *c, float v) { real(c, v, 2); }
static void on_float4(void *c, float v) { real(c, v, 4); }
static void on_float8(void *c, double v) { real(c, v, 8); }

static void on_null(void *c) { set(c, CCBOR_NULL, 0); }
static void on_bool(void *c, bool v) { set(c, CCBOR_BOOL, v); }

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string_start = on_indefinite_bytes,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_indefinite_text,
    .indef_array_start = on_indefinite_array,
    .array_start = on_array,
    .indef_map_start = on_indefinite_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float2,
    .float4 = on_float4,
    .float8 = on_float8,
    .undefined = on_null,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_break,
};

int ccbor_next(const uint8_t *base, size_t start, size_t end, ccbor_item *item) {
  *item = (ccbor_item){0};
  if (start >= end) return -1;
  target context = {base, item};
  struct cbor_decoder_result result =
      cbor_stream_decode(base + start, end - start, &callbacks, &context);
  if (result.status != CBOR_DECODER_FINISHED) return -1;
  item->next = start + result.read;
  return item->next <= end ? 0 : -1;
}
