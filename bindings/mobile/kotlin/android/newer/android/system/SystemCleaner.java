package android.system;

/** Of API 33: a declaration to compile against. The generated code asks for it where the system is of API 34 or newer. */
public final class SystemCleaner {
    private SystemCleaner() {}

    public static native java.lang.ref.Cleaner cleaner();
}
