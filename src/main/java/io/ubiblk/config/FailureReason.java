// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.config;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;

/** Failures of the host's files in words. The JDK's messages are often a path and nothing else. */
public final class FailureReason {
  private FailureReason() {}

  /** What went wrong, without the file's name. */
  public static String of(IOException e) {
    if (e instanceof NoSuchFileException) {
      return "it does not exist";
    } else if (e instanceof AccessDeniedException) {
      return "permission denied";
    } else if (e instanceof FileSystemException failure) {
      return failure.getReason() != null ? failure.getReason() : failure.getClass().getSimpleName();
    }
    return e.getMessage() != null ? e.getMessage() : e.getClass().getSimpleName();
  }

  /** The same where the file was to be made: what is not there is its directory. */
  public static String ofMaking(IOException e) {
    return e instanceof NoSuchFileException ? "its directory does not exist" : of(e);
  }
}
