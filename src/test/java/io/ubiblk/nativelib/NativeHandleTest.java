// SPDX-License-Identifier: AGPL-3.0-only
package io.ubiblk.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class NativeHandleTest {
  /** Counts how often it was destroyed, and can be made to take its time. */
  private static final class FakeHandle extends NativeHandle {
    private int destroyedCount;
    private final CountDownLatch destroying = new CountDownLatch(1);
    private final CountDownLatch mayEnd;

    FakeHandle(String name, CountDownLatch mayEnd, NativeHandle... kept) {
      super(name, 4096, kept);
      this.mayEnd = mayEnd;
    }

    FakeHandle(String name, NativeHandle... kept) {
      this(name, new CountDownLatch(0), kept);
    }

    @Override
    void destroy(long address) throws IOException {
      assertThat(address).isEqualTo(4096);
      destroyedCount++;
      destroying.countDown();
      try {
        mayEnd.await();
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
    }
  }

  @Test
  void lends_its_address_until_it_is_closed() throws IOException {
    FakeHandle handle = new FakeHandle("the thing");
    assertThat(handle.<Long, RuntimeException>use(address -> address)).isEqualTo(4096);
    handle.close();
    assertThatThrownBy(() -> handle.use(address -> address))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the thing is closed");
  }

  @Test
  void is_destroyed_once_however_often_it_is_closed() throws IOException {
    FakeHandle handle = new FakeHandle("the thing");
    handle.close();
    handle.close();
    assertThat(handle.destroyedCount).isEqualTo(1);
  }

  @Test
  void refuses_to_close_while_another_object_keeps_it() throws IOException {
    FakeHandle kept = new FakeHandle("the kept");
    FakeHandle keeper = new FakeHandle("the keeper", kept);
    assertThatThrownBy(kept::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the kept is still in use");
    keeper.close();
    kept.close();
    assertThat(kept.destroyedCount).isEqualTo(1);
  }

  @Test
  void refuses_uses_at_once_while_it_is_being_closed() throws Exception {
    CountDownLatch mayEnd = new CountDownLatch(1);
    FakeHandle handle = new FakeHandle("the thing", mayEnd);
    Thread closer = new Thread(() -> closeUnchecked(handle));
    closer.start();
    handle.destroying.await();
    assertThatThrownBy(() -> handle.use(address -> address))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the thing is being closed");
    mayEnd.countDown();
    closer.join();
  }

  @Test
  void waits_with_closing_for_a_use_in_progress() throws Exception {
    FakeHandle handle = new FakeHandle("the thing");
    AtomicBoolean used = new AtomicBoolean();
    CountDownLatch using = new CountDownLatch(1);
    CountDownLatch mayEnd = new CountDownLatch(1);
    Thread user =
        new Thread(
            () ->
                handle.use(
                    address -> {
                      using.countDown();
                      awaitUnchecked(mayEnd);
                      used.set(true);
                      return address;
                    }));
    user.start();
    using.await();
    Thread closer = new Thread(() -> closeUnchecked(handle));
    closer.start();
    assertThat(handle.destroying.await(50, TimeUnit.MILLISECONDS)).isFalse();
    mayEnd.countDown();
    closer.join();
    user.join();
    assertThat(used).isTrue();
    assertThat(handle.destroyedCount).isEqualTo(1);
  }

  private static void closeUnchecked(NativeHandle handle) {
    try {
      handle.close();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void awaitUnchecked(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
