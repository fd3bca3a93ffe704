package android.os;

/** Stands in for Android's where its classes run on Java's machine: that of Android 7. */
public final class Build {
    private Build() {}

    public static final class VERSION {
        public static final int SDK_INT = Integer.parseInt("24");
    }
}
