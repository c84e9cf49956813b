/*
 * trie — filters with wildcards as a tree of levels: topic → the values of all that match
 *
 * Why it is so:   the edges live in one table for all nodes: a node with a million children costs
 *                 no more than one with a single child, and no node has a table of its own. A match
 *                 goes depth first with a stack of its own, since a topic's depth is a peer's
 *                 choice, and comes out value by value, so that it needs no room for what it finds.
 * Words:          node: the first levels of some filters; the root is the node of no level. tail: a
 *                 last level `#`, which is not a node but a second value of the node before it
 * Invariants:     (1) a node but the root has a value, a tail or a child; what loses its last goes
 *                 at once  (2) a child for `+` is in its parent's `plus`, every other in `edges`
 *                 (3) `levels` and `stack` reach as deep as the deepest filter that ever was, so a
 *                 match allocates nothing  (4) the stack holds at most one open branch for each
 *                 level of the topic, and a node is visited at most once in a match
 * Memory:         a node is 64 bytes (a level of 33 included) and 13 to 26 in `edges`; it is given
 *                 back with its last filter. 32 bytes for each level of the deepest filter ever
 * Threads:        owning shard only
 * Limits:         2^24 nodes; FMX_LIMIT_MEMORY beyond. Hashes are seeded and levels compared byte
 *                 by byte: a peer cannot make chains long, and a match visits existing nodes only
 * Not here:       exact filters: router.c finds them at one stroke
 */
#include "engine/trie.h"

#include "engine/text.h"
#include <assert.h>
#include <fleetmux/private/assert.h>

#define NONE       FMX_TRIE_NONE
#define TEXT_BYTES 33u /* levels up to this length lie inside their node */

struct node {
    struct fmx_slot slot;
    uint32_t parent;   /* NONE: the root */
    uint32_t plus;     /* the child for `+` */
    uint32_t value;    /* of the filter that ends here */
    uint32_t tail;     /* of the filter that ends here with a `#` behind */
    uint32_t children; /* with `plus` */
    uint16_t bytes;    /* of the level that leads here */
    bool is_plus;
    uint8_t text[TEXT_BYTES];
};

static_assert(sizeof(struct node) == 64, "one cache line");

struct fmx_trie_level {
    fmx_slice text;
    uint64_t hash;
};

struct fmx_trie_visit {
    uint32_t node;
    uint32_t depth;
};

/* ---- nodes --------------------------------------------------------------------------------- */

static struct node *node_at(const struct fmx_trie *trie, uint32_t node)
{
    return fmx_slab_at(&trie->nodes, node);
}

static fmx_slice level_of(const struct node *node)
{
    return fmx_text_of(node->text, TEXT_BYTES, node->bytes);
}

static bool is_only(fmx_slice level, uint8_t byte)
{
    return level.bytes == 1 && level.data[0] == byte;
}

static uint64_t hash_of_level(const struct fmx_trie *trie, fmx_slice level)
{
    return fmx_topic_hash(level, trie->seed);
}

static uint64_t edge_hash(uint32_t parent, uint64_t level_hash)
{
    return fmx_index_mix(level_hash ^ fmx_index_mix(parent));
}

static uint32_t find_child(const struct fmx_trie *trie, uint32_t parent, fmx_slice level,
                           uint64_t level_hash)
{
    uint64_t hash = edge_hash(parent, level_hash);
    uint32_t probe = UINT32_MAX;

    for (;;) {
        uint32_t found = fmx_index_find(&trie->edges, hash, &probe);
        if (found == FMX_INDEX_NONE) {
            return NONE;
        }
        const struct node *node = node_at(trie, found);
        if (node->parent == parent && fmx_slice_equal(level_of(node), level)) {
            return found;
        }
    }
}

static struct node *take_node(struct fmx_trie *trie, uint32_t parent, fmx_slice level)
{
    struct node *node = fmx_slab_take(&trie->nodes);

    if (node == NULL) {
        return NULL;
    }
    if (!fmx_text_keep(node->text, TEXT_BYTES, level)) {
        fmx_slab_give(&trie->nodes, node);
        return NULL;
    }
    node->parent = parent;
    node->plus = node->value = node->tail = NONE;
    node->bytes = (uint16_t)level.bytes;
    node->is_plus = is_only(level, '+');
    return node;
}

static void give_node(struct fmx_trie *trie, struct node *node)
{
    fmx_text_drop(node->text, TEXT_BYTES, node->bytes);
    fmx_slab_give(&trie->nodes, node);
}

/* A child that does not exist yet, or NONE if memory ran out. */
static uint32_t add_child(struct fmx_trie *trie, uint32_t parent, fmx_slice level)
{
    struct node *node = take_node(trie, parent, level);

    if (node == NULL) {
        return NONE;
    }
    if (node->is_plus) {
        node_at(trie, parent)->plus = node->slot.index;
    } else if (fmx_index_put(&trie->edges, edge_hash(parent, hash_of_level(trie, level)),
                             node->slot.index) != FMX_OK) {
        give_node(trie, node);
        return NONE;
    }
    node_at(trie, parent)->children++;
    return node->slot.index;
}

static void drop_child(struct fmx_trie *trie, struct node *node)
{
    struct node *parent = node_at(trie, node->parent);

    if (node->is_plus) {
        parent->plus = NONE;
    } else {
        uint64_t level_hash = hash_of_level(trie, level_of(node));
        fmx_index_remove(&trie->edges, edge_hash(node->parent, level_hash), node->slot.index);
    }
    parent->children--;
    give_node(trie, node);
}

/* Drops a node that has nothing left, and those above it of which that becomes true (1). */
static void prune(struct fmx_trie *trie, uint32_t at)
{
    while (at != trie->root) {
        struct node *node = node_at(trie, at);
        if (node->value != NONE || node->tail != NONE || node->children > 0) {
            return;
        }
        at = node->parent;
        drop_child(trie, node);
    }
}

/* ---- filters ------------------------------------------------------------------------------- */

/* The scratch of a match, for filters of so many levels (3). False if memory ran out. */
static bool reserve_depth(struct fmx_trie *trie, size_t depth)
{
    if (trie->stack != NULL && depth <= trie->depth_max) {
        return true;
    }
    struct fmx_trie_level *levels = realloc(trie->levels, (depth + 1) * sizeof *levels);
    if (levels == NULL) {
        return false;
    }
    trie->levels = levels;
    struct fmx_trie_visit *stack = realloc(trie->stack, (depth + 2) * sizeof *stack);
    if (stack == NULL) {
        return false;
    }
    trie->stack = stack;
    trie->depth_max = (uint32_t)depth;
    return true;
}

static uint32_t make_child(struct fmx_trie *trie, uint32_t parent, fmx_slice level)
{
    uint32_t child = is_only(level, '+')
                         ? node_at(trie, parent)->plus
                         : find_child(trie, parent, level, hash_of_level(trie, level));

    return child != NONE ? child : add_child(trie, parent, level);
}

/* The node of a filter without its tail, made if need be; NONE if memory ran out. */
static uint32_t make_path(struct fmx_trie *trie, fmx_slice filter)
{
    struct fmx_topic_walk walk = fmx_topic_walk_of(filter);
    uint32_t at = trie->root;
    fmx_slice level;

    while (fmx_topic_next_level(&walk, &level) && !is_only(level, '#')) {
        uint32_t child = make_child(trie, at, level);
        if (child == NONE) {
            prune(trie, at);
            return NONE;
        }
        at = child;
    }
    return at;
}

/* Which of its node's values is a filter's. */
static uint32_t *place_at(const struct fmx_trie *trie, uint32_t at, fmx_slice filter)
{
    struct node *node = node_at(trie, at);

    return filter.data[filter.bytes - 1] == '#' ? &node->tail : &node->value;
}

enum fmx_status fmx_trie_open(struct fmx_trie *trie, uint64_t seed)
{
    *trie = (struct fmx_trie){.seed = seed, .waiting = NONE};
    if (fmx_slab_open(&trie->nodes, sizeof(struct node), FMX_SLAB_SLOTS_MAX) != FMX_OK) {
        return FMX_LIMIT_MEMORY;
    }
    struct node *root = take_node(trie, NONE, fmx_slice_of(""));
    if (root == NULL || !reserve_depth(trie, 0)) {
        fmx_trie_close(trie);
        return FMX_LIMIT_MEMORY;
    }
    trie->root = root->slot.index;
    return FMX_OK;
}

void fmx_trie_close(struct fmx_trie *trie)
{
    void *node;

    for (uint32_t at = 0; (node = fmx_slab_next(&trie->nodes, &at)) != NULL;) {
        give_node(trie, node);
    }
    fmx_slab_close(&trie->nodes);
    fmx_index_close(&trie->edges);
    free(trie->levels);
    free(trie->stack);
    *trie = (struct fmx_trie){0};
}

enum fmx_status fmx_trie_put(struct fmx_trie *trie, fmx_slice filter, uint32_t value,
                             uint32_t *out_node)
{
    FMX_ASSERT(filter.bytes > 0 && value != NONE);
    if (!reserve_depth(trie, fmx_topic_levels(filter))) {
        return FMX_LIMIT_MEMORY;
    }
    *out_node = make_path(trie, filter);
    if (*out_node == NONE) {
        return FMX_LIMIT_MEMORY;
    }
    uint32_t *place = place_at(trie, *out_node, filter);
    FMX_ASSERT(*place == NONE);
    *place = value;
    return FMX_OK;
}

void fmx_trie_remove(struct fmx_trie *trie, fmx_slice filter, uint32_t node, uint32_t value)
{
    uint32_t *place = place_at(trie, node, filter);

    FMX_ASSERT(*place == value);
    *place = NONE;
    prune(trie, node);
}

uint32_t fmx_trie_value(const struct fmx_trie *trie, fmx_slice filter, uint32_t node)
{
    return *place_at(trie, node, filter);
}

bool fmx_trie_is_empty(const struct fmx_trie *trie)
{
    const struct node *root = node_at(trie, trie->root);

    return root->children == 0 && root->tail == NONE;
}

/* ---- matching ------------------------------------------------------------------------------ */

static void push_visit(struct fmx_trie *trie, uint32_t node, uint32_t depth)
{
    if (node != NONE) {
        FMX_ASSERT(trie->stack_count < trie->depth_max + 2);
        trie->stack[trie->stack_count++] = (struct fmx_trie_visit){.node = node, .depth = depth};
    }
}

/* The level at `depth`, split and hashed when first asked for. NULL: the topic ends before. */
static const struct fmx_trie_level *level_at(struct fmx_trie *trie, uint32_t depth)
{
    struct fmx_trie_level *level = &trie->levels[depth];

    FMX_ASSERT(depth <= trie->levels_count && depth <= trie->depth_max);
    if (depth == trie->levels_count) {
        if (!fmx_topic_next_level(&trie->walk, &level->text)) {
            return NULL;
        }
        level->hash = hash_of_level(trie, level->text);
        trie->levels_count++;
    }
    return level;
}

/* Looks for the next level below a node, `+` after it. */
static void descend(struct fmx_trie *trie, const struct node *node, uint32_t depth,
                    const struct fmx_trie_level *level, bool sees_wildcards)
{
    if (sees_wildcards) {
        push_visit(trie, node->plus, depth + 1);
    }
    if (node->children > (node->plus != NONE)) {
        push_visit(trie, find_child(trie, node->slot.index, level->text, level->hash), depth + 1);
    }
}

/* Visits a node: what is found there waits or is returned, where to go on is pushed. */
static uint32_t visit(struct fmx_trie *trie, struct fmx_trie_visit at)
{
    const struct node *node = node_at(trie, at.node);
    const struct fmx_trie_level *level = level_at(trie, at.depth);
    bool sees_wildcards = at.depth > 0 || !trie->is_hidden; /* MQTT 5.0, 4.7.2 */

    trie->waiting = sees_wildcards ? node->tail : NONE;
    if (level == NULL) {
        return node->value;
    }
    descend(trie, node, at.depth, level, sees_wildcards);
    return NONE;
}

void fmx_trie_begin(struct fmx_trie *trie, fmx_slice topic)
{
    FMX_ASSERT(topic.bytes > 0);
    trie->walk = fmx_topic_walk_of(topic);
    trie->is_hidden = topic.data[0] == '$';
    trie->levels_count = 0;
    trie->stack_count = 0;
    trie->waiting = NONE;
    push_visit(trie, trie->root, 0);
}

uint32_t fmx_trie_next(struct fmx_trie *trie)
{
    uint32_t found = trie->waiting;

    trie->waiting = NONE;
    while (found == NONE && trie->stack_count > 0) {
        found = visit(trie, trie->stack[--trie->stack_count]);
        if (found == NONE) {
            found = trie->waiting;
            trie->waiting = NONE;
        }
    }
    return found;
}

/* ---- figures and invariants ---------------------------------------------------------------- */

size_t fmx_trie_bytes(const struct fmx_trie *trie)
{
    return fmx_slab_bytes(&trie->nodes) + trie->edges.capacity * sizeof(struct fmx_index_entry) +
           (trie->depth_max + 1) * (sizeof *trie->levels + sizeof *trie->stack);
}

static void check_node(const struct fmx_trie *trie, const struct node *node)
{
    if (node->slot.index == trie->root) {
        FMX_ASSERT(node->parent == NONE && node->value == NONE);
        return;
    }
    fmx_slice level = level_of(node);
    uint32_t child = node->is_plus
                         ? node_at(trie, node->parent)->plus
                         : find_child(trie, node->parent, level, hash_of_level(trie, level));
    FMX_ASSERT(child == node->slot.index);
    FMX_ASSERT(node->is_plus == is_only(level, '+'));
    FMX_ASSERT(node->value != NONE || node->tail != NONE || node->children > 0);
}

void fmx_trie_check(const struct fmx_trie *trie)
{
    uint32_t children = 0;
    uint32_t edges = 0;
    const struct node *node;

    fmx_slab_check(&trie->nodes);
    fmx_index_check(&trie->edges);
    for (uint32_t at = 0; (node = fmx_slab_next(&trie->nodes, &at)) != NULL;) {
        check_node(trie, node);
        children += node->children;
        edges += node->parent != NONE && !node->is_plus;
    }
    FMX_ASSERT(edges == trie->edges.used);
    FMX_ASSERT(children + 1 == trie->nodes.used);
}
