package android.os;

/** Stands in for Android's where its classes run on Java's machine. */
public final class SystemClock {
    private SystemClock() {}

    public static long elapsedRealtime() {
        return System.nanoTime() / 1_000_000;
    }
}
