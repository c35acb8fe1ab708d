/* A shared object that is no plugin: it has no pool_backend. */
int not_a_pool_backend = 1;
