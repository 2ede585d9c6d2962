/* Copyright 2023 Example. Permission is hereby granted, free of charge... licensed under MIT. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"

#define RING_MIN 16
#define RING_WRAP(ring, index)                 \
  do {                                         \
    if ((index) >= (ring)->capacity)           \
      (index) -= (ring)->capacity;             \
  } while (0)

#ifdef _WIN32
# define RING_API __declspec(dllexport)
#else
# define RING_API
#endif

/* Bytes in a circle. */
struct ring {
  size_t capacity;
  size_t head;
  size_t length;
  unsigned char *data;
};

typedef struct {
  int code;
  const char *text;
} ring_error_t;

typedef enum ring_mode {
  RING_BLOCK,
  RING_DROP,
} ring_mode;

union word {
  unsigned long number;
  unsigned char bytes[sizeof(unsigned long)];
};

static const ring_error_t errors[] = {
  {0, "ok"},
  {1, "full"},
  {2, "empty"},
};

static int grow(struct ring *ring, size_t need);
extern int ring_trace;

/*
 * Allocates a ring.
 * Returns NULL when there is no memory.
 */
RING_API struct ring *ring_new(size_t capacity)
{
  struct ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL)
    return NULL;
  ring->capacity = capacity < RING_MIN ? RING_MIN : capacity;
  ring->data = malloc(ring->capacity);
  if (ring->data == NULL) {
    free(ring);
    return NULL;
  }
  return ring;
}

// Doubles until NEED fits.
static int
grow(struct ring *ring, size_t need)
{
  size_t capacity = ring->capacity;
  while (capacity < need)
    capacity *= 2;
#if RING_SHRINK
  capacity += RING_MIN;
#endif
  void *data = realloc(ring->data, capacity);
  if (!data) return -1;
  ring->data = data;
  ring->capacity = capacity;
  return 0;
}

size_t ring_length(const struct ring *ring) { return ring->length; }

/* Returns a function that frees. */
static void (*pick_free(int how))(void *) {
  return how ? free : NULL;
}

char **ring_lines(struct ring *ring, int count)
{
  char **lines = calloc(count, sizeof *lines);
  assert(lines);
  return lines;
}

#ifdef __linux__
void ring_free(struct ring *ring) {
  pick_free(1)(ring->data);
  free(ring);
}
#endif
