// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.tidy;

import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** Calls that a safer one replaces; the finding names it. */
public final class BannedCalls {
  private record Ban(Predicate<SourceFile> where, Pattern call, String instead) {}

  private static final Predicate<SourceFile> C = SourceFile::isC;
  private static final Predicate<SourceFile> CORE = C.and(file -> file.isUnder("src/main/c"));
  private static final Predicate<SourceFile> JAVA = SourceFile::isJava;
  private static final Predicate<SourceFile> PRODUCT =
      JAVA.and(file -> file.isUnder("src/main/java"));
  private static final Predicate<SourceFile> JAVA_TEST =
      JAVA.and(file -> file.isUnder("src/test/java"));
  private static final Predicate<SourceFile> NOT_CLI =
      PRODUCT.and(file -> !file.isUnder("src/main/java/io/ubiblk/cli"));

  private static final List<Ban> BANS =
      List.of(
          cCall(C, "strcpy|strncpy|stpcpy", "snprintf, which ends the string and says if it fit"),
          cCall(C, "strcat|strncat", "snprintf with an offset"),
          cCall(C, "sprintf|vsprintf", "snprintf or vsnprintf"),
          cCall(C, "gets", "fgets"),
          cCall(C, "alloca", "a buffer of the caller's, of a size with a limit"),
          cCall(C, "strtok", "strtok_r or strcspn"),
          cCall(C, "atoi|atol|atoll", "strtol, which says what it could not read"),
          cCall(C, "rand|srand|random", "the seeded generator of support/test_scale.h"),
          cCall(CORE, "printf|puts|putchar|perror", "the log of base/log.h, or struct error"),
          cCall(CORE, "exit|_exit|quick_exit", "an error return: only Java ends the process"),
          cCall(CORE, "sleep|usleep|nanosleep", "a wait that the stop event ends"),
          cCall(CORE, "signal", "sigaction, in the one place that has signals"),
          cCall(CORE, "flock|lockf", "an open file description lock: it is tied to the I/O"),
          java(NOT_CLI, "System\\.(out|err)\\b", "a logger"),
          java(PRODUCT, "printStackTrace\\(", "a logger with the exception as last argument"),
          java(PRODUCT, "\\.tryLock\\(\\s*0L?,|FileLock\\b", "the lock that the C side takes"),
          java(PRODUCT, "\\bfinalize\\(", "AutoCloseable, with a Cleaner as net"),
          java(PRODUCT, "sun\\.misc\\.Unsafe", "VarHandle over a direct buffer"),
          java(JAVA_TEST, "Thread\\.sleep\\(", "a latch or a condition with a time limit"),
          java(JAVA_TEST, "new Random\\(\\)", "new Random(seed), so that a failure repeats"));

  private BannedCalls() {}

  /** All rules of this class. */
  public static List<Rule> all() {
    return List.of(BannedCalls::check);
  }

  static List<Finding> check(SourceFile file) {
    List<Ban> bans = BANS.stream().filter(ban -> ban.where().test(file)).toList();
    if (bans.isEmpty()) {
      return List.of();
    }
    List<String> code = file.codeLines();
    return bans.stream()
        .flatMap(ban -> file.findingsWhere(code, ban.call(), "use " + ban.instead()).stream())
        .toList();
  }

  private static Ban cCall(Predicate<SourceFile> where, String names, String instead) {
    return new Ban(where, Pattern.compile("(?<![\\w.>])(" + names + ")\\s*\\("), instead);
  }

  private static Ban java(Predicate<SourceFile> where, String pattern, String instead) {
    return new Ban(where, Pattern.compile(pattern), instead);
  }
}
