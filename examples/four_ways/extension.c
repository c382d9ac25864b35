/* The kernels as a CPython extension written by hand: what a binding generator would have to do.
 *
 * While the GIL is released only plain C values are touched: a pointer, a count, a factor. What
 * they belong to is held by the buffer, which is taken before and given back on every path. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "four_ways.h"

#include <stdint.h>
#include <string.h>

/* Numbers for C to read: those of an array where they are, or a copy of those of a list. */
typedef struct {
    Py_buffer view; /* view.obj is NULL if there is a copy */
    double *copy;
    const double *data;
    size_t n;
} numbers;

static int is_float64(const Py_buffer *view)
{
    const char *format = view->format ? view->format : "B";
    const char *explicit_order = PY_LITTLE_ENDIAN ? "<d" : ">d"; /* how ctypes says it */
    return strcmp(format, "d") == 0 || strcmp(format, explicit_order) == 0;
}

/* Takes the buffer of an array that C can walk through as one run of doubles. */
static int take_buffer(PyObject *array, const char *name, int to_write, Py_buffer *view)
{
    if (PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_STRIDES) < 0)
        return -1;
    if (!is_float64(view))
        PyErr_Format(PyExc_TypeError,
                     "%s must hold float64 of this machine's byte order, got format '%s'", name,
                     view->format ? view->format : "B");
    else if (!PyBuffer_IsContiguous(view, 'C'))
        PyErr_Format(PyExc_ValueError, "%s must be C-contiguous, got a strided %s", name,
                     Py_TYPE(array)->tp_name);
    else if ((uintptr_t)view->buf % _Alignof(double) != 0)
        PyErr_Format(PyExc_ValueError, "%s must be aligned to %zu bytes, got address %p", name,
                     _Alignof(double), view->buf);
    else if (to_write && view->readonly)
        PyErr_Format(PyExc_ValueError, "%s must be writable, got a read-only %s", name,
                     Py_TYPE(array)->tp_name);
    else
        return 0;
    PyBuffer_Release(view);
    return -1;
}

static int copy_list(PyObject *list, const char *name, numbers *to)
{
    /* A tuple, as the __float__ of an element may change the list. */
    PyObject *items = PySequence_Tuple(list);
    if (!items)
        return -1;
    Py_ssize_t n = PyTuple_GET_SIZE(items);
    double *copy = PyMem_New(double, (size_t)n);
    if (!copy) {
        Py_DECREF(items);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *item = PyTuple_GET_ITEM(items, k);
        copy[k] = PyFloat_AsDouble(item);
        if (copy[k] == -1 && PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_TypeError)) {
                PyErr_Clear();
                PyErr_Format(PyExc_TypeError, "%s must hold numbers, got a %s at index %zd", name,
                             Py_TYPE(item)->tp_name, k);
            }
            PyMem_Free(copy);
            Py_DECREF(items);
            return -1;
        }
    }
    Py_DECREF(items);
    *to = (numbers){.copy = copy, .data = copy, .n = (size_t)n};
    return 0;
}

static int take_numbers(PyObject *a, const char *name, numbers *to)
{
    *to = (numbers){.n = 0};
    if (PyList_Check(a) || PyTuple_Check(a))
        return copy_list(a, name, to);
    if (!PyObject_CheckBuffer(a)) {
        PyErr_Format(PyExc_TypeError, "%s must be a float64 array or a list of numbers, got a %s",
                     name, Py_TYPE(a)->tp_name);
        return -1;
    }
    if (take_buffer(a, name, 0, &to->view) < 0)
        return -1;
    to->data = to->view.buf;
    to->n = (size_t)to->view.len / sizeof(double);
    return 0;
}

static void release_numbers(numbers *taken)
{
    PyMem_Free(taken->copy);
    PyBuffer_Release(&taken->view); /* does nothing where there is a copy */
}

static int check_times(int times)
{
    if (times >= 1)
        return 0;
    PyErr_Format(PyExc_ValueError, "times must be at least 1, got %d", times);
    return -1;
}

PyDoc_STRVAR(sum_doc, "sum(a, times=1)\n--\n\n"
                      "The exact sum of a float64 array or a list, rounded once.");

static PyObject *sum(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"a", "times", NULL};
    PyObject *a;
    int times = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|i:sum", names, &a, &times) ||
        check_times(times) < 0)
        return NULL;
    numbers taken;
    if (take_numbers(a, "a", &taken) < 0)
        return NULL;
    double result;
    Py_BEGIN_ALLOW_THREADS
    result = four_ways_sum(taken.data, taken.n, times);
    Py_END_ALLOW_THREADS
    release_numbers(&taken);
    return PyFloat_FromDouble(result);
}

static int overlap(const Py_buffer *out, const numbers *a)
{
    uintptr_t written = (uintptr_t)out->buf, read = (uintptr_t)a->data;
    size_t bytes = (size_t)out->len;
    return written < read + bytes && read < written + bytes;
}

PyDoc_STRVAR(scale_doc, "scale(out, a, factor, times=1)\n--\n\n"
                        "Write factor * a to out, an array of as many elements.");

static PyObject *scale(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"out", "a", "factor", "times", NULL};
    PyObject *target, *a, *result = NULL;
    double factor;
    int times = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOd|i:scale", names, &target, &a, &factor,
                                     &times) ||
        check_times(times) < 0)
        return NULL;
    if (!PyObject_CheckBuffer(target))
        return PyErr_Format(PyExc_TypeError, "out must be a float64 array, got a %s",
                            Py_TYPE(target)->tp_name);
    numbers taken;
    if (take_numbers(a, "a", &taken) < 0)
        return NULL;
    Py_buffer out;
    if (take_buffer(target, "out", 1, &out) < 0) {
        release_numbers(&taken);
        return NULL;
    }
    if ((size_t)out.len != taken.n * sizeof(double))
        PyErr_Format(PyExc_ValueError, "out must have %zu elements, as a has, got %zd", taken.n,
                     out.len / (Py_ssize_t)sizeof(double));
    else if (overlap(&out, &taken))
        PyErr_SetString(PyExc_ValueError, "out must not overlap a, got the same memory");
    else {
        Py_BEGIN_ALLOW_THREADS
        four_ways_scale(out.buf, taken.data, taken.n, factor, times);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&out);
    release_numbers(&taken);
    return result;
}

static PyMethodDef methods[] = {
    {"sum", (PyCFunction)(void (*)(void))sum, METH_VARARGS | METH_KEYWORDS, sum_doc},
    {"scale", (PyCFunction)(void (*)(void))scale, METH_VARARGS | METH_KEYWORDS, scale_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil /* without it free-threaded Python would turn its GIL on for this module */
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "four_ways_extension",
    .m_doc = "Two kernels over arrays, run without the GIL.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit_four_ways_extension(void)
{
    return PyModuleDef_Init(&module);
}
