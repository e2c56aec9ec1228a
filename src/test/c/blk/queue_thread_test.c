/* SPDX-License-Identifier: AGPL-3.0-only */
/* The thread of a queue that does nothing but note what happens to it. */
/* wrap: pthread_create pthread_setaffinity_np */
#include "blk/queue_thread.h"

#include "support/cmocka_test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool create_fails;
static int affinity_failure;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument);
int __real_pthread_setaffinity_np(pthread_t thread, size_t byte_len, const cpu_set_t *cpus);
int __wrap_pthread_setaffinity_np(pthread_t thread, size_t byte_len, const cpu_set_t *cpus);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument)
{
    return create_fails ? EAGAIN : __real_pthread_create(thread, attributes, main, argument);
}

int __wrap_pthread_setaffinity_np(pthread_t thread, size_t byte_len, const cpu_set_t *cpus)
{
    return affinity_failure ? affinity_failure
                            : __real_pthread_setaffinity_np(thread, byte_len, cpus);
}

struct queue {
    int open_result;
    char steps[8]; /* o, r, c in the order of the calls */
    int cpu_count;
    sem_t *go; /* not NULL: run waits for it */
};

static void note(struct queue *queue, char step)
{
    queue->steps[strlen(queue->steps)] = step;
}

static int note_open(void *argument, struct error *error)
{
    struct queue *queue = argument;
    cpu_set_t cpus;
    note(queue, 'o');
    pthread_getaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    queue->cpu_count = CPU_COUNT(&cpus);
    return queue->open_result ? error_set(error, queue->open_result, "no engine") : 0;
}

static void note_run(void *argument)
{
    struct queue *queue = argument;
    note(queue, 'r');
    while (queue->go && sem_wait(queue->go) < 0)
        continue;
}

static void note_close(void *argument)
{
    note(argument, 'c');
}

static int start(struct queue_thread *thread, struct queue *queue, const cpu_set_t *cpus,
                 struct log *log, struct error *error)
{
    const struct queue_thread_params params = {.index = 12,
                                               .cpus = cpus,
                                               .log = log,
                                               .open = note_open,
                                               .run = note_run,
                                               .close = note_close,
                                               .queue = queue};
    return queue_thread_start(thread, &params, error);
}

static void opens_runs_and_closes_under_the_queues_name(void **state)
{
    (void)state;
    struct queue_thread thread;
    sem_t go;
    sem_init(&go, 0, 0);
    struct queue queue = {.go = &go};
    assert_int_equal(0, start(&thread, &queue, NULL, NULL, NULL));
    char name[16];
    assert_int_equal(0, pthread_getname_np(thread.thread, name, sizeof(name)));
    sem_post(&go);
    queue_thread_join(&thread);
    assert_string_equal("orc", queue.steps);
    assert_string_equal("queue-12", name);
    sem_destroy(&go);
}

static void is_pinned_to_its_cpus_before_it_opens(void **state)
{
    (void)state;
    struct queue_thread thread;
    struct queue queue = {0};
    cpu_set_t mine, one;
    pthread_getaffinity_np(pthread_self(), sizeof(mine), &mine);
    CPU_ZERO(&one);
    for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &mine))
            CPU_SET(cpu, &one);
    assert_int_equal(0, start(&thread, &queue, &one, NULL, NULL));
    queue_thread_join(&thread);
    assert_int_equal(1, queue.cpu_count);
}

static void works_where_it_cannot_be_pinned(void **state)
{
    (void)state;
    struct queue_thread thread;
    struct queue queue = {0};
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(3, &cpus);
    CPU_SET(5, &cpus);
    struct log *log = log_create(LOG_INFO, 4);
    affinity_failure = EINVAL;
    assert_int_equal(0, start(&thread, &queue, &cpus, log, NULL));
    affinity_failure = 0;
    queue_thread_join(&thread);
    assert_string_equal("orc", queue.steps);
    struct log_record record;
    assert_int_equal(1, log_wait(log, &record, 0));
    assert_non_null(strstr(record.message, "queue 12 cannot be pinned to CPU 3 and others"));
    log_destroy(log);
}

static void says_why_it_could_not_open(void **state)
{
    (void)state;
    struct queue_thread thread;
    struct queue queue = {.open_result = -ENOSYS};
    struct error error = {0};
    assert_int_equal(-ENOSYS, start(&thread, &queue, NULL, NULL, &error));
    assert_string_equal("no engine", error.message);
    assert_string_equal("oc", queue.steps); /* and has ended */
    assert_int_equal(-ENOSYS, start(&thread, &queue, NULL, NULL, NULL));
}

static void says_that_there_is_no_thread(void **state)
{
    (void)state;
    struct queue_thread thread;
    struct queue queue = {0};
    struct error error = {0};
    create_fails = true;
    assert_int_equal(-EAGAIN, start(&thread, &queue, NULL, NULL, &error));
    create_fails = false;
    assert_non_null(strstr(error.message, "queue 12: cannot start its thread"));
    assert_string_equal("", queue.steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_runs_and_closes_under_the_queues_name),
        cmocka_unit_test(is_pinned_to_its_cpus_before_it_opens),
        cmocka_unit_test(works_where_it_cannot_be_pinned),
        cmocka_unit_test(says_why_it_could_not_open),
        cmocka_unit_test(says_that_there_is_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
