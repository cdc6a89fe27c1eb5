// Something to link where only headers are compiled.
int main() { return 0; }
