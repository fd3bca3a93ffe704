// NOT BUILT HERE: see README.md. The AAR has the same Kotlin sources as the jar, and the libraries of four kinds of phone.
plugins {
    id("com.android.library") version "8.13.0"
    kotlin("android") version "2.2.21"
    `maven-publish`
}

group = "org.mailbearer"
version = "0.1.0"

android {
    namespace = "org.mailbearer"
    compileSdk = 36

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    sourceSets["main"].kotlin.srcDirs("src/main/kotlin", "../library/src/main/kotlin", "build/generated/uniffi")
    sourceSets["main"].jniLibs.srcDir("build/jniLibs")

    publishing { singleVariant("release") { withSourcesJar() } }
}

kotlin { compilerOptions { allWarningsAsErrors = true } }

dependencies {
    api("org.jetbrains.kotlinx:kotlinx-coroutines-android:1.10.2")
    implementation("net.java.dev.jna:jna:5.18.1@aar")
    implementation("androidx.annotation:annotation:1.8.0")
    androidTestImplementation("androidx.test:runner:1.7.0")
    androidTestImplementation("junit:junit:4.13.2")
}

publishing {
    publications {
        register<MavenPublication>("release") {
            artifactId = "mailbearer-android"
            afterEvaluate { from(components["release"]) }
        }
    }
}

tasks.named("preBuild") {
    doFirst {
        check(file("build/jniLibs/arm64-v8a/libmailbearer_mobile.so").exists()) { "run ./native.sh first: it needs the NDK" }
    }
}
