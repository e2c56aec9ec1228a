/* SPDX-License-Identifier: AGPL-3.0-only */
#include "virtq/guest_guard.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/bus_guard.h"
#include "support/cmocka_test.h"
#include "support/test_scale.h"

enum { PAGE = 4096, PAGES = 4, MAPPING_MAX = 2048 };

static int make_file(void)
{
    int fd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
    return fd;
}

static uint8_t *map_file(int fd)
{
    uint8_t *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    return map;
}

static void a_lost_page_reads_as_zeros_and_marks_its_mapping(void **state)
{
    (void)state;
    struct guest_guard *guard = bus_guard_install();
    atomic_bool lost = false, other_lost = false;
    int fd = make_file();
    uint8_t *map = map_file(fd);
    uint8_t *other = map_file(fd);
    assert_true(guest_guard_add(guard, map, PAGES * PAGE, PAGE, &lost));
    assert_true(guest_guard_add(guard, other, PAGES * PAGE, PAGE, &other_lost));
    map[0] = 7;
    map[3 * PAGE] = 7;
    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    assert_int_equal(*(volatile uint8_t *)map, 7);
    assert_false(lost);
    assert_int_equal(*(volatile uint8_t *)(map + 3 * PAGE), 0);
    assert_true(lost);
    *(volatile uint8_t *)(map + 2 * PAGE + 5) = 1;
    assert_int_equal(*(volatile uint8_t *)map, 7);
    assert_false(other_lost);
    guest_guard_remove(guard, map);
    guest_guard_remove(guard, other);
    munmap(map, PAGES * PAGE);
    munmap(other, PAGES * PAGE);
    close(fd);
}

static void what_is_not_guarded_is_left_alone(void **state)
{
    (void)state;
    struct guest_guard *guard = guest_guard_create();
    atomic_bool lost = false;
    int fd = make_file();
    uint8_t *map = map_file(fd);
    assert_false(guest_guard_repair(guard, map));
    assert_true(guest_guard_add(guard, map, PAGE, PAGE, &lost));
    assert_false(guest_guard_repair(guard, map + PAGE));
    assert_false(guest_guard_repair(guard, map - 1));
    assert_false(lost);
    guest_guard_remove(guard, map);
    guest_guard_remove(guard, map);
    assert_false(guest_guard_repair(guard, map));
    munmap(map, PAGES * PAGE);
    close(fd);
    guest_guard_destroy(guard);
}

/* A front end chooses the file, and with it the size of its blocks; the kernel aligns a mapping to
 * them only for huge pages. */
static void a_large_page_never_reaches_beyond_its_mapping(void **state)
{
    (void)state;
    enum { LARGE = 4 * PAGE };
    struct guest_guard *guard = guest_guard_create();
    atomic_bool lost = false;
    uint8_t *area =
        mmap(NULL, 3 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    uint8_t *aligned = (uint8_t *)(((uintptr_t)area + LARGE - 1) & ~(uintptr_t)(LARGE - 1));
    uint8_t *map = aligned + PAGE;
    memset(aligned, 7, 2 * LARGE);
    assert_true(guest_guard_add(guard, map, LARGE, LARGE, &lost));
    assert_true(guest_guard_repair(guard, map + 5));
    assert_true(guest_guard_repair(guard, map + LARGE - 1));
    assert_true(lost);
    assert_int_equal(7, aligned[PAGE - 1]);
    assert_int_equal(0, map[0]);
    assert_int_equal(0, map[LARGE - 1]);
    assert_int_equal(7, map[LARGE]);
    guest_guard_remove(guard, map);
    munmap(area, 3 * LARGE);
    guest_guard_destroy(guard);
}

static void a_full_table_says_so_and_has_room_again(void **state)
{
    (void)state;
    struct guest_guard *guard = guest_guard_create();
    static uint8_t pages[MAPPING_MAX + 1];
    atomic_bool lost = false;
    for (int i = 0; i < MAPPING_MAX; i++)
        assert_true(guest_guard_add(guard, &pages[i], 1, PAGE, &lost));
    assert_false(guest_guard_add(guard, &pages[MAPPING_MAX], 1, PAGE, &lost));
    guest_guard_remove(guard, &pages[100]);
    assert_true(guest_guard_add(guard, &pages[MAPPING_MAX], 1, PAGE, &lost));
    guest_guard_destroy(guard);
}

enum { BELOW = 0, OWN = 1, ABOVE = 2, PLACES = 3 };

struct change {
    struct guest_guard *guard;
    uint8_t *places[PLACES];
    atomic_bool lost; /* of those that come and go */
    atomic_bool enough;
};

/* Mappings below and above the one that is repaired take turns in one entry of the table. */
static void *change_mappings(void *argument)
{
    struct change *change = argument;
    for (uint32_t i = 0; !atomic_load(&change->enough); i++) {
        uint8_t *map = change->places[i % 2 == 0 ? ABOVE : BELOW];
        guest_guard_add(change->guard, map, PAGE, PAGE, &change->lost);
        guest_guard_remove(change->guard, map);
    }
    return NULL;
}

static void a_page_is_never_taken_for_one_of_mappings_that_come_and_go(void **state)
{
    (void)state;
    uint64_t rounds = test_count_long(200000, 5000000);
    struct change change = {.guard = guest_guard_create()};
    atomic_bool lost = false;
    uint8_t *area =
        mmap(NULL, PLACES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;
    test_print_scale(rounds, "repairs");
    assert_true(area != MAP_FAILED);
    for (uint32_t i = 0; i < PLACES; i++)
        change.places[i] = area + i * PAGE;
    assert_true(guest_guard_add(change.guard, area, PAGE, PAGE, &change.lost)); /* entry 0 */
    assert_true(guest_guard_add(change.guard, change.places[OWN], PAGE, PAGE, &lost));
    guest_guard_remove(change.guard, area);
    assert_int_equal(0, pthread_create(&thread, NULL, change_mappings, &change));
    uint64_t repaired = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        atomic_store(&lost, false);
        repaired += guest_guard_repair(change.guard, change.places[OWN]) && lost;
    }
    atomic_store(&change.enough, true);
    assert_int_equal(0, pthread_join(thread, NULL));
    assert_int_equal(rounds, repaired);
    assert_false(change.lost);
    guest_guard_remove(change.guard, change.places[OWN]);
    munmap(area, PLACES * PAGE);
    guest_guard_destroy(change.guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_page_reads_as_zeros_and_marks_its_mapping),
        cmocka_unit_test(what_is_not_guarded_is_left_alone),
        cmocka_unit_test(a_large_page_never_reaches_beyond_its_mapping),
        cmocka_unit_test(a_full_table_says_so_and_has_room_again),
        cmocka_unit_test(a_page_is_never_taken_for_one_of_mappings_that_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
