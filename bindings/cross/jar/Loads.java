import org.mailbearer.AccessToken;

/** Calls the jar's library on this system: java -cp "jars/*" Loads.java */
class Loads {
    public static void main(String[] arguments) throws Exception {
        try (var token = new AccessToken("ya29.token");
                var same = new AccessToken("ya29.token");
                var other = new AccessToken("ya29.other")) {
            if (!token.isSame(same) || token.isSame(other)) {
                throw new AssertionError("the library answers wrongly");
            }
        }
        System.out.println(System.getProperty("os.name") + " " + System.getProperty("os.arch") + ", Java "
                + Runtime.version().feature() + ": the library is loaded, and answers");
    }
}
