/* The compiled kernel as Python's module skymix.mixture._kernel; _kernel.pyi says what is in it.
 *
 * Types of arrays are checked here, and the sizes of those that come with each call; what describes
 * a table, a tree or an interpolation fits together as skymix.mixture makes it.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include "kernel.h"

enum { WORTH_RELEASING = 16 }; /* points x tiles above which other threads of Python may run */

/* Data of an array of a tuple, null with an exception if it is not contiguous or of another type. */
static void *data(PyObject *arrays, Py_ssize_t i, int type)
{
    PyArrayObject *array = (PyArrayObject *)PyTuple_GetItem(arrays, i);
    if (!array)
        return 0;
    if (PyArray_Check(array) && PyArray_TYPE(array) == type && PyArray_ISCARRAY_RO(array))
        return PyArray_DATA(array);
    PyErr_Format(PyExc_TypeError, "array %zd has not the type or the order that is expected", i);
    return 0;
}

/* Of an array whose data were taken. */
static int64_t length(PyObject *arrays, Py_ssize_t i)
{
    return PyArray_SIZE((PyArrayObject *)PyTuple_GET_ITEM(arrays, i));
}

/* New reference to an array of this type with so many axes, the same if it is one. */
static PyArrayObject *array_of(PyObject *any, int type, int ndim, int flags)
{
    PyArrayObject *array =
        (PyArrayObject *)PyArray_FROMANY(any, type, 0, 0, flags | NPY_ARRAY_ALIGNED);
    if (!array || PyArray_NDIM(array) == ndim)
        return array;
    PyErr_Format(PyExc_ValueError, "an array has %d axes, expected %d", PyArray_NDIM(array), ndim);
    Py_DECREF(array);
    return 0;
}

static int read_tree(PyObject *edges, tree *t)
{
    t->parent = data(edges, 0, NPY_INT64);
    t->column = data(edges, 1, NPY_INT64);
    t->leaf = data(edges, 2, NPY_INT64);
    t->fixed = data(edges, 3, NPY_DOUBLE);
    if (PyErr_Occurred())
        return 0;
    t->nedge = length(edges, 0);
    return 1;
}

static int read_interpolation(PyObject *grids, interpolation *t)
{
    t->offset = data(grids, 0, NPY_INT64);
    t->column = data(grids, 1, NPY_INT64);
    t->logarithmic = data(grids, 2, NPY_INT64);
    t->start = data(grids, 3, NPY_INT64);
    t->first_axis = data(grids, 4, NPY_INT64);
    t->positions = data(grids, 5, NPY_DOUBLE);
    if (PyErr_Occurred())
        return 0;
    t->ntable = length(grids, 0);
    return 1;
}

static int64_t terms_of(const interpolation *t)
{
    int64_t count = 0;
    for (int64_t k = 0; k < t->ntable; k++)
        count += (int64_t)1 << (t->first_axis[k + 1] - t->first_axis[k]);
    return count;
}

static int64_t above(const int64_t *values, int64_t count)
{
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++)
        most = values[i] < most ? most : values[i] + 1;
    return most;
}

/* Parameters of points; false with an exception if there are fewer than `columns` of them. */
static int read_parameters(PyArrayObject *theta, int64_t columns, parameters *out)
{
    *out = (parameters){PyArray_DATA(theta), PyArray_DIM(theta, 0), PyArray_STRIDE(theta, 0),
                        PyArray_STRIDE(theta, 1)};
    if (PyArray_DIM(theta, 1) >= columns)
        return 1;
    PyErr_Format(PyExc_ValueError, "%zd parameters, expected at least %lld",
                 (Py_ssize_t)PyArray_DIM(theta, 1), (long long)columns);
    return 0;
}

/* A table of densities. */
typedef struct {
    PyObject_HEAD
    table table;
    PyObject *arrays; /* tuple that keeps its data */
} Table;

static PyObject *Table_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *arrays;
    long long nrow, nsegment, level;
    double exponent;
    if (!PyArg_ParseTuple(args, "O!LLLd", &PyTuple_Type, &arrays, &nrow, &nsegment, &level,
                          &exponent))
        return 0;
    PyObject *values = PyTuple_GetItem(arrays, 0);
    if (!values)
        return 0;
    const int single =
        PyArray_Check(values) && PyArray_TYPE((PyArrayObject *)values) == NPY_FLOAT;
    table t = {
        .values = data(arrays, 0, single ? NPY_FLOAT : NPY_DOUBLE),
        .offset = data(arrays, 1, NPY_INT64),
        .width = data(arrays, 2, NPY_INT64),
        .filled = data(arrays, 3, NPY_INT64),
        .segment = data(arrays, 4, NPY_INT64),
        .multiplicity = data(arrays, 5, NPY_DOUBLE),
        .counts_at = data(arrays, 6, NPY_INT64),
        .counts = data(arrays, 7, NPY_DOUBLE),
        .part = data(arrays, 8, NPY_INT64),
        .nrow = nrow,
        .nsegment = nsegment,
        .size = single ? 4 : 8,
        .level = level,
        .exponent = exponent,
    };
    if (PyErr_Occurred())
        return 0;
    t.npart = length(arrays, 8) - 1;
    Table *self = (Table *)type->tp_alloc(type, 0);
    if (self) {
        self->table = t;
        self->arrays = Py_NewRef(arrays);
    }
    return (PyObject *)self;
}

static void Table_dealloc(Table *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->arrays);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Values of points; null with an exception. */
static PyObject *sum_of(const table *t, const points *p, int64_t threads)
{
    const npy_intp count = p->npoint;
    PyObject *values = PyArray_SimpleNew(1, &count, NPY_DOUBLE);
    if (!values)
        return 0;
    double *value = PyArray_DATA((PyArrayObject *)values);
    int failed;
    if (p->npoint * t->part[t->npart] > WORTH_RELEASING) {
        Py_BEGIN_ALLOW_THREADS
        failed = log_sum(t, p, threads, value);
        Py_END_ALLOW_THREADS
    } else {
        failed = log_sum(t, p, threads, value);
    }
    if (!failed)
        return values;
    Py_DECREF(values);
    if (failed == WRONG_ROW)
        PyErr_Format(PyExc_IndexError, "a row is not one of a table of %lld", (long long)t->nrow);
    else
        PyErr_SetString(PyExc_MemoryError, "the mixture sum found no memory, or no thread");
    return 0;
}

/* Sets of a (npoint, nset, nterm) array, 0 if it does not fit. */
static int64_t sets_of(PyArrayObject *array, const npy_intp *like, int64_t nsegment)
{
    const npy_intp *shape = PyArray_DIMS(array);
    const int fits = shape[0] == like[0] && shape[2] == like[2] && shape[2] > 0 &&
                     (shape[1] == 1 || shape[1] == nsegment);
    return fits ? shape[1] : 0;
}

static PyObject *Table_log_sum(Table *self, PyObject *args)
{
    PyObject *given_rows, *given, *gradient, *values = 0;
    long long threads;
    if (!PyArg_ParseTuple(args, "OOLO", &given_rows, &given, &threads, &gradient))
        return 0;
    PyArrayObject *rows = array_of(given_rows, NPY_INT64, 3, NPY_ARRAY_C_CONTIGUOUS);
    PyArrayObject *coefficients = array_of(given, NPY_DOUBLE, 3, NPY_ARRAY_C_CONTIGUOUS);
    if (!rows || !coefficients)
        goto done;
    const npy_intp *shape = PyArray_DIMS(coefficients);
    const int64_t nset = sets_of(rows, shape, self->table.nsegment);
    const int64_t nown = sets_of(coefficients, shape, self->table.nsegment);
    if (!nset || !nown || threads < 1) {
        PyErr_Format(PyExc_ValueError,
                     "rows (%zd, %zd, %zd), coefficients (%zd, %zd, %zd), %lld threads: expected"
                     " (npoint, 1 or %lld, nterm) of both and at least one thread",
                     PyArray_DIM(rows, 0), PyArray_DIM(rows, 1), PyArray_DIM(rows, 2), shape[0],
                     shape[1], shape[2], threads, (long long)self->table.nsegment);
        goto done;
    }
    points p = {shape[0], nset, nown, shape[2], PyArray_DATA(rows), PyArray_DATA(coefficients), 0};
    if (gradient != Py_None) {
        PyArrayObject *out = (PyArrayObject *)gradient;
        if (!PyArray_Check(out) || PyArray_TYPE(out) != NPY_DOUBLE || !PyArray_ISCARRAY(out) ||
            !PyArray_SAMESHAPE(out, coefficients)) {
            PyErr_SetString(PyExc_ValueError, "the gradient has not the form of the coefficients");
            goto done;
        }
        p.gradient = PyArray_DATA(out);
    }
    values = sum_of(&self->table, &p, threads);
done:
    Py_XDECREF(rows);
    Py_XDECREF(coefficients);
    return values;
}

static PyMethodDef table_methods[] = {
    {"log_sum", (PyCFunction)Table_log_sum, METH_VARARGS, 0},
    {0},
};

static PyType_Slot table_slots[] = {
    {Py_tp_new, Table_new},
    {Py_tp_dealloc, Table_dealloc},
    {Py_tp_methods, table_methods},
    {0},
};

static PyType_Spec table_spec = {"skymix.mixture._kernel.Table", sizeof(Table), 0,
                                 Py_TPFLAGS_DEFAULT, table_slots};

/* A mixture: from parameters to the log likelihood in one call. */
typedef struct {
    PyObject_HEAD
    Table *table;
    PyObject *edges, *grids; /* tuples that keep the data */
    tree tree;
    interpolation grid;
    int64_t nterm, ndim, threads;
    double constant;
} Mixture;

static PyTypeObject *table_type;

static PyObject *Mixture_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *sum, *edges, *grids;
    long long threads;
    double constant;
    if (!PyArg_ParseTuple(args, "O!O!O!Ld", table_type, &sum, &PyTuple_Type, &edges, &PyTuple_Type,
                          &grids, &threads, &constant))
        return 0;
    tree t;
    interpolation g;
    if (!read_tree(edges, &t) || !read_interpolation(grids, &g))
        return 0;
    Mixture *self = (Mixture *)type->tp_alloc(type, 0);
    if (!self)
        return 0;
    self->table = (Table *)Py_NewRef(sum);
    self->edges = Py_NewRef(edges);
    self->grids = Py_NewRef(grids);
    self->tree = t;
    self->grid = g;
    self->nterm = terms_of(&g);
    const int64_t fractions = above(t.column, t.nedge);
    const int64_t scanned = above(g.column, g.first_axis[g.ntable]);
    self->ndim = fractions > scanned ? fractions : scanned;
    self->threads = threads;
    self->constant = constant;
    return (PyObject *)self;
}

static void Mixture_dealloc(Mixture *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->table);
    Py_XDECREF(self->edges);
    Py_XDECREF(self->grids);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Mixture_log_likelihood(Mixture *self, PyObject *given)
{
    PyArrayObject *theta = array_of(given, NPY_DOUBLE, 2, 0);
    if (!theta)
        return 0;
    PyObject *values = 0;
    parameters at;
    if (!read_parameters(theta, self->ndim, &at))
        goto done;
    const int64_t nleaf = self->grid.ntable, nterm = self->nterm;
    double *factors = PyMem_Malloc((at.npoint * (nleaf + 2 * nterm) + 1) * sizeof *factors);
    if (!factors) {
        PyErr_NoMemory();
        goto done;
    }
    double *coefficients = factors + at.npoint * nleaf;
    int64_t *rows = (int64_t *)(coefficients + at.npoint * nterm);
    leaf_weights(&self->tree, &at, nleaf, factors);
    fill_terms(&self->grid, &at, factors, rows, coefficients);
    const points p = {at.npoint, 1, 1, nterm, rows, coefficients, 0};
    values = sum_of(&self->table->table, &p, self->threads);
    PyMem_Free(factors);
    if (values) {
        double *value = PyArray_DATA((PyArrayObject *)values);
        for (int64_t i = 0; i < at.npoint; i++)
            value[i] += self->constant;
    }
done:
    Py_DECREF(theta);
    return values;
}

static PyMethodDef mixture_methods[] = {
    {"log_likelihood", (PyCFunction)Mixture_log_likelihood, METH_O, 0},
    {0},
};

static PyType_Slot mixture_slots[] = {
    {Py_tp_new, Mixture_new},
    {Py_tp_dealloc, Mixture_dealloc},
    {Py_tp_methods, mixture_methods},
    {0},
};

static PyType_Spec mixture_spec = {"skymix.mixture._kernel.Mixture", sizeof(Mixture), 0,
                                   Py_TPFLAGS_DEFAULT, mixture_slots};

static PyObject *kernel_leaf_weights(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *edges, *weights = 0;
    tree t;
    parameters at;
    if (!PyArg_ParseTuple(args, "OO!", &given, &PyTuple_Type, &edges) || !read_tree(edges, &t))
        return 0;
    PyArrayObject *fractions = array_of(given, NPY_DOUBLE, 2, 0);
    if (!fractions)
        return 0;
    if (read_parameters(fractions, above(t.column, t.nedge), &at)) {
        const npy_intp shape[2] = {at.npoint, above(t.leaf, t.nedge)};
        weights = PyArray_SimpleNew(2, shape, NPY_DOUBLE);
        if (weights)
            leaf_weights(&t, &at, shape[1], PyArray_DATA((PyArrayObject *)weights));
    }
    Py_DECREF(fractions);
    return weights;
}

static PyObject *kernel_terms(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *given_factors, *grids, *rows = 0, *coefficients = 0;
    interpolation t;
    parameters at;
    if (!PyArg_ParseTuple(args, "OOO!", &given, &given_factors, &PyTuple_Type, &grids) ||
        !read_interpolation(grids, &t))
        return 0;
    PyArrayObject *theta = array_of(given, NPY_DOUBLE, 2, 0);
    PyArrayObject *factors = array_of(given_factors, NPY_DOUBLE, 2, NPY_ARRAY_C_CONTIGUOUS);
    if (!theta || !factors || !read_parameters(theta, above(t.column, t.first_axis[t.ntable]), &at))
        goto done;
    if (PyArray_DIM(factors, 0) != at.npoint || PyArray_DIM(factors, 1) != t.ntable) {
        PyErr_SetString(PyExc_ValueError, "expected a factor of each table at each point");
        goto done;
    }
    const npy_intp shape[2] = {at.npoint, terms_of(&t)};
    rows = PyArray_SimpleNew(2, shape, NPY_INT64);
    coefficients = PyArray_SimpleNew(2, shape, NPY_DOUBLE);
    if (rows && coefficients)
        fill_terms(&t, &at, PyArray_DATA(factors), PyArray_DATA((PyArrayObject *)rows),
                   PyArray_DATA((PyArrayObject *)coefficients));
done:
    Py_XDECREF(theta);
    Py_XDECREF(factors);
    return rows && coefficients ? Py_BuildValue("NN", rows, coefficients) : 0;
}

static PyObject *kernel_highest_level(PyObject *module, PyObject *nothing)
{
    (void)module, (void)nothing;
    return PyLong_FromLongLong(highest_level());
}

static PyMethodDef functions[] = {
    {"leaf_weights", kernel_leaf_weights, METH_VARARGS, 0},
    {"terms", kernel_terms, METH_VARARGS, 0},
    {"highest_level", kernel_highest_level, METH_NOARGS, 0},
    {0},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kernel", 0, -1, functions};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromSpec(spec);
    return *type && !PyModule_AddType(module, *type);
}

PyMODINIT_FUNC PyInit__kernel(void)
{
    static PyTypeObject *mixture_type;
    import_array();
    PyObject *module = PyModule_Create(&definition);
    if (module && add_type(module, &table_spec, &table_type) &&
        add_type(module, &mixture_spec, &mixture_type))
        return module;
    Py_XDECREF(module);
    return 0;
}
