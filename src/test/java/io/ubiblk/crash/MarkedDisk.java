// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.crash;

import io.ubiblk.nativelib.CrashRecorder;
import io.ubiblk.stripe.StripeDisk;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Marks in the record where a commit begins and ends; goes on through failures. */
final class MarkedDisk extends ForwardingStripeDisk {

  MarkedDisk(StripeDisk disk) {
    super(disk);
  }

  @Override
  public void syncBase() throws IOException {
    CrashRecorder.mark(CrashRecord.COMMIT_BEGINS);
    super.syncBase();
  }

  @Override
  public void writeMetadata(long sector, ByteBuffer content) throws IOException {
    CrashRecorder.mark(CrashRecord.COMMIT_BEGINS);
    super.writeMetadata(sector, content);
  }

  @Override
  public void syncMetadata() throws IOException {
    super.syncMetadata();
    CrashRecorder.mark(CrashRecord.COMMIT_ENDS);
  }
}
