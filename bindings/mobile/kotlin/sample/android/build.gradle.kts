// NOT BUILT HERE: see ../README.md. The screens and the model are those that are compiled and tried on a desktop.
plugins {
    id("com.android.application") version "8.13.0"
    kotlin("android") version "2.2.21"
    kotlin("plugin.compose") version "2.2.21"
}

android {
    namespace = "org.mailbearer.sample"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.mailbearer.sample"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
        // Where the browser comes back to after the sign-in.
        manifestPlaceholders["appAuthRedirectScheme"] = "org.mailbearer.sample"
    }

    buildTypes {
        release {
            // With the rules that the AAR brings.
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            signingConfig = signingConfigs["debug"]
        }
    }

    buildFeatures { compose = true }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    sourceSets["main"].kotlin.srcDirs("src/main/kotlin", "../model/src/main/kotlin", "../screens/src/main/kotlin")
}

dependencies {
    implementation("org.mailbearer:mailbearer-android:0.1.0")
    implementation(platform("androidx.compose:compose-bom:2025.10.00"))
    implementation("androidx.compose.material3:material3")
    implementation("androidx.activity:activity-compose:1.11.0")
    implementation("androidx.work:work-runtime-ktx:2.10.5")
    implementation("net.openid:appauth:0.11.1")
}
