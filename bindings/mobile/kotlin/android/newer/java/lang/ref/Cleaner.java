package java.lang.ref;

/** Of API 33: a declaration to compile against. The generated code asks for it where the system is of API 34 or newer. */
public final class Cleaner {
    private Cleaner() {}

    public native Cleanable register(Object object, Runnable action);

    public interface Cleanable {
        void clean();
    }
}
